//! A TLS connection over a socket that does not wait.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

/// A TLS connection.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: Box<Connection>,
    /// The peer has ended the connection; what it sent before may still be read.
    ended: bool,
    /// Text that has been read from the socket and not by the owner.
    waiting: usize,
}

/// Bytes that may wait to be encrypted and sent.
const BUFFER: usize = 256 << 10;

impl TlsStream {
    /// The side that connects.
    pub(crate) fn client(socket: TcpStream, config: Arc<ClientConfig>) -> io::Result<Self> {
        let ip = socket.peer_addr()?.ip();
        let session = ClientConnection::new(config, ServerName::IpAddress(ip.into()));
        Ok(Self::new(socket, session.map_err(io::Error::other)?.into()))
    }

    /// The side that is connected to.
    pub(crate) fn server(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::new(socket, session.into()))
    }

    fn new(socket: TcpStream, mut session: Connection) -> Self {
        session.set_buffer_limit(Some(BUFFER));
        Self { socket, session: Box::new(session), ended: false, waiting: 0 }
    }

    /// The socket.
    pub(crate) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether both sides have shown who they are.
    pub(crate) fn is_open(&self) -> bool {
        !self.session.is_handshaking()
    }

    /// Whether something waits for the socket to take it.
    pub(crate) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Whether there is text to be read although the socket has none.
    pub(crate) fn has_text(&self) -> bool {
        self.waiting != 0
    }

    /// Goes on with showing who both sides are.
    pub(crate) fn shake_hands(&mut self) -> io::Result<bool> {
        self.send()?;
        while self.session.is_handshaking() {
            match self.take() {
                Ok(true) => self.send()?,
                Ok(false) => return Err(io::ErrorKind::ConnectionReset.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.send()?;
        Ok(true)
    }

    /// Takes what the socket has; `false` at its end.
    fn take(&mut self) -> io::Result<bool> {
        if self.session.read_tls(&mut self.socket)? == 0 {
            self.ended = true;
            return Ok(false);
        }
        match self.session.process_new_packets() {
            Ok(state) => {
                self.waiting = state.plaintext_bytes_to_read();
                Ok(true)
            }
            Err(error) => {
                // The peer is told why, if it listens.
                let _ = self.send();
                log::warn!(target: "stream_ssl", rate = 10; "SSL: {error}");
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Ok(count) => {
                    self.waiting = self.waiting.saturating_sub(count);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if self.ended => return Ok(0),
                Err(_) => self.waiting = 0,
            }
            match self.take() {
                Ok(_) => self.send()?,
                Err(error) => {
                    self.send()?;
                    return Err(error);
                }
            }
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.send()?;
        let count = self.session.writer().write(buffer)?;
        self.send()?;
        // Full: the socket has to take some of it first.
        if count == 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        // The peer sees an end, not a cut.
        self.session.send_close_notify();
        let _ = self.send();
    }
}
