//! What waits to be sent on a connection.
//!
//! Long replies are not made at once: an [`Outbox`] holds sources that make the next message when
//! there is room for it, so that a peer who asks for a million flows and reads none costs a
//! message or two.

use std::collections::VecDeque;

/// Makes the messages of a long reply, one after the other.
pub trait Source: Send {
    /// The next message; `None`: that was the last one.
    fn next_message(&mut self) -> Option<Vec<u8>>;
}

enum Piece {
    Message(Vec<u8>),
    /// A packet for a controller, one of those that are counted.
    Packet(Vec<u8>),
    Source(Box<dyn Source>),
}

/// Messages that wait, in their order.
#[derive(Default)]
pub struct Outbox {
    pieces: VecDeque<Piece>,
    /// How much of the first message has been sent.
    sent: usize,
    bytes: usize,
    packets: usize,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outbox({} pieces, {} bytes)", self.pieces.len(), self.bytes)
    }
}

/// Above this nothing more is read from a peer, and nothing is sent unasked.
pub const FULL: usize = 512 * 1024;

impl Outbox {
    /// Adds a message.
    pub fn push(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.pieces.push_back(Piece::Message(message));
    }

    /// Adds the message of a packet.
    pub fn push_packet(&mut self, message: Vec<u8>) {
        self.bytes += message.len();
        self.packets += 1;
        self.pieces.push_back(Piece::Packet(message));
    }

    /// Packets that wait.
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.packets
    }

    /// Adds a reply that is made piece by piece.
    pub fn push_source(&mut self, source: Box<dyn Source>) {
        self.pieces.push_back(Piece::Source(source));
    }

    /// Bytes that wait; a reply that has not been made yet does not count.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes - self.sent
    }

    /// Whether so much waits that the peer must read first.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() > FULL || self.pieces.iter().any(|piece| matches!(piece, Piece::Source(_)))
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The next bytes to send; empty if nothing waits.
    pub fn front(&mut self) -> &[u8] {
        while let Some(Piece::Source(source)) = self.pieces.front_mut() {
            match source.next_message() {
                Some(message) => {
                    self.bytes += message.len();
                    self.pieces.push_front(Piece::Message(message));
                }
                None => drop(self.pieces.pop_front()),
            }
        }
        match self.pieces.front() {
            Some(Piece::Message(message) | Piece::Packet(message)) => {
                message.get(self.sent..).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Notes that so many bytes of [`Self::front`] have been sent. Returns the message if that was
    /// all of it.
    pub fn advance(&mut self, sent: usize) -> Option<Vec<u8>> {
        self.sent += sent;
        let (message, packet) = match self.pieces.front()? {
            Piece::Message(message) => (message, false),
            Piece::Packet(message) => (message, true),
            Piece::Source(_) => return None,
        };
        if self.sent < message.len() {
            return None;
        }
        self.bytes -= message.len();
        self.packets -= usize::from(packet);
        self.sent = 0;
        match self.pieces.pop_front() {
            Some(Piece::Message(message) | Piece::Packet(message)) => Some(message),
            _ => None,
        }
    }

    /// Everything that waits, as one: for tests and for peers without a socket.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let front = self.front();
            if front.is_empty() {
                return all;
            }
            let len = front.len();
            all.extend_from_slice(front);
            self.advance(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outbox, Source};

    struct Countdown(u8);

    impl Source for Countdown {
        fn next_message(&mut self) -> Option<Vec<u8>> {
            self.0 = self.0.checked_sub(1)?;
            Some(vec![self.0; 2])
        }
    }

    #[test]
    fn pieces_leave_in_order_and_long_replies_are_made_late() {
        let mut outbox = Outbox::default();
        outbox.push(vec![9, 8]);
        outbox.push_source(Box::new(Countdown(2)));
        outbox.push_packet(vec![7]);
        assert_eq!(outbox.packets(), 1);
        assert!(outbox.is_full(), "a reply has not been made yet");
        assert_eq!(outbox.bytes(), 3);
        assert_eq!(outbox.front(), [9, 8]);
        assert_eq!(outbox.advance(1), None);
        assert_eq!(outbox.front(), [8]);
        assert_eq!(outbox.take(), [8, 1, 1, 0, 0, 7]);
        assert!(outbox.is_empty() && outbox.bytes() == 0 && outbox.packets() == 0);
    }
}
