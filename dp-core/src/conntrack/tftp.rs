//! TFTP (RFC 1350): a request is answered from a port of the server's choice.

/// Whether a datagram to the server's port asks for a transfer.
#[must_use]
pub fn is_request(payload: &[u8]) -> bool {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    // A file name and a mode, each ended by a zero, must follow.
    match payload {
        [0, READ | WRITE, names @ ..] => {
            names.iter().filter(|&&byte| byte == 0).count() >= 2 && names.first() != Some(&0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_request;

    #[test]
    fn requests_name_a_file_and_a_mode() {
        assert!(is_request(b"\0\x01file\0octet\0"));
        assert!(is_request(b"\0\x02file\0octet\0blksize\x008\0"));
        for other in
            [&b""[..], b"\0", b"\0\x01", b"\0\x01file\0octet", b"\0\x03\0\x01", b"\0\x01\0\0"]
        {
            assert!(!is_request(other), "{other:?}");
        }
    }
}
