use super::{At, Bits};
use crate::base::MacAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

#[test]
fn whole_bytes_are_read_and_written_in_network_order() {
    let mut bytes = [0xa5; 24];
    At::<u16>::new(1).set(&mut bytes, 0x0102);
    At::<u32>::new(3).set(&mut bytes, 0x0304_0506);
    At::<u64>::new(7).set(&mut bytes, 0x0708_090a_0b0c_0d0e);
    assert_eq!(bytes[..16], [0xa5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xa5]);
    assert_eq!(At::<u32>::new(1).get(&bytes), 0x0102_0304);
    assert_eq!(At::<Ipv4Addr>::new(1).get(&bytes), Ipv4Addr::new(1, 2, 3, 4));
    assert_eq!(At::<MacAddr>::new(1).get(&bytes), MacAddr::new(1, 2, 3, 4, 5, 6));
    assert_eq!(At::<Ipv6Addr>::new(0).get(&bytes).octets()[..3], [0xa5, 1, 2]);
}

#[test]
fn bits_leave_their_neighbours_alone() {
    let mut bytes = [0xff, 0x00, 0xff, 0x00];
    Bits::<u16>::in_u16(0, 0x0ff0).set(&mut bytes, 0xffa5);
    assert_eq!(bytes, [0xfa, 0x50, 0xff, 0x00]);
    assert_eq!(Bits::<u16>::in_u16(0, 0x0ff0).get(&bytes), 0xa5);
    Bits::<bool>::in_u8(2, 0x10).set(&mut bytes, false);
    assert_eq!(bytes, [0xfa, 0x50, 0xef, 0x00]);
    Bits::<u32>::in_u32(0, 0x000f_ffff).set(&mut bytes, 0x12345);
    assert_eq!(bytes, [0xfa, 0x51, 0x23, 0x45]);
    assert_eq!(Bits::<u8>::in_u8(0, 0xf0).get(&bytes), 0x0f);
}

#[test]
fn past_the_end_reads_are_zero_and_writes_are_nothing() {
    let mut bytes = [0xff; 5];
    assert_eq!(At::<u32>::new(2).get(&bytes), 0);
    assert_eq!(At::<u32>::new(200).get(&bytes), 0);
    assert_eq!(Bits::<u16>::in_u32(2, 0xffff).get(&bytes), 0);
    At::<u32>::new(2).set(&mut bytes, 0);
    At::<[u8; 2]>::new(5).set(&mut bytes, [0; 2]);
    Bits::<bool>::in_u8(5, 1).set(&mut bytes, false);
    assert_eq!(bytes, [0xff; 5]);
}
