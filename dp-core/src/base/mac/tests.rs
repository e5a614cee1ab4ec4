use super::{MacAddr, ParseMacError};
use proptest::prelude::*;

#[test]
fn text_forms() {
    let mac = MacAddr::new(0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x0f);
    assert_eq!(mac.to_string(), "aa:bb:cc:dd:ee:0f");
    assert_eq!(format!("{mac:?}"), "aa:bb:cc:dd:ee:0f");
    assert_eq!("AA:bb:Cc:dd:ee:f".parse(), Ok(mac));
}

#[test]
fn malformed_text_is_refused() {
    for text in ["", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:6:"] {
        assert!(text.parse::<MacAddr>().is_err(), "{text}");
    }
    assert_eq!("1:2:3:4:5".parse::<MacAddr>(), Err(ParseMacError::GroupCount));
    for text in ["1:2:3:4:5:+6", "1:2:3:4:5:", "1:2:3:4:5:100", "1:2:3:4:5:g", " 1:2:3:4:5:6"] {
        assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError::Group), "{text}");
    }
}

#[test]
fn classes() {
    let station: MacAddr = "52:54:00:12:34:56".parse().unwrap();
    assert!(station.is_unicast() && station.is_local() && !station.is_multicast());
    assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
    assert!(MacAddr::ZERO.is_zero() && !MacAddr::ZERO.is_unicast());
    for last in 0..=0xff {
        let mac = MacAddr::new(0x01, 0x80, 0xc2, 0, 0, last);
        assert_eq!(mac.is_reserved(), last < 0x10, "{mac}");
    }
    assert!(!MacAddr::new(0x01, 0x80, 0xc2, 0, 1, 0).is_reserved());
}

proptest! {
    #[test]
    fn text_and_number_round_trip(bytes: [u8; 6]) {
        let mac = MacAddr(bytes);
        prop_assert_eq!(mac.to_string().parse::<MacAddr>(), Ok(mac));
        prop_assert_eq!(MacAddr::from_u64(mac.to_u64()), mac);
        prop_assert_eq!(MacAddr::from_u64(mac.to_u64() | 0xabcd << 48), mac);
    }
}
