use super::{Flags, HEADER_LEN, Opt, OptionIter, Packet, Repr, SackBlocks};
use crate::wire::checksum::Pseudo;
use crate::wire::specimens::{QINQ_TCP, TCP_SACK, TCP6, bytes, emit, spoiled};
use crate::wire::{Error, ipv4, ipv6};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const V4: Pseudo = Pseudo::V4 { src: Ipv4Addr::new(10, 0, 0, 1), dst: Ipv4Addr::new(10, 0, 0, 2) };

#[test]
fn deconstruct_a_syn() {
    let data = bytes(QINQ_TCP).split_off(22);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(V4));
    let repr = Repr {
        seq: 0x0102_0304,
        window: 64240,
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((0x1122_3344, 0)),
        ..Repr::new(1000, 80, Flags::SYN)
    };
    assert_eq!(Repr::parse(&packet), Ok(repr));
    let options: Vec<_> = packet.options().map(Result::unwrap).collect();
    assert_eq!(options[3..], [Opt::Nop, Opt::WindowScale(7)]);
    assert_eq!(emit!(repr).len(), packet.header_len());
}

#[test]
fn deconstruct_a_selective_acknowledgment() {
    let data = bytes(TCP_SACK);
    let ip = ipv4::Packet::new_checked(&data).unwrap();
    let packet = Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(V4));
    let flags = Flags::PSH | Flags::ACK | Flags::URG | Flags::ECE | Flags::CWR;
    assert_eq!((packet.flags(), packet.urgent()), (flags, 3));
    let sack = SackBlocks::new(&[(100, 200), (300, 400)]).unwrap();
    assert_eq!(packet.options().last(), Some(Ok(Opt::Sack(sack))));
    assert_eq!(packet.payload(), b"data!");
    assert_eq!(Repr::parse(&packet).unwrap().sack.as_slice(), [(100, 200), (300, 400)]);
}

#[test]
fn construct_over_ipv6() {
    let data = bytes(TCP6);
    let ip = ipv6::Packet::new_checked(&data).unwrap();
    let ends = Pseudo::V6 { src: ip.src(), dst: ip.dst() };
    assert!(Packet::new_checked(ip.payload()).unwrap().verify_checksum(ends));

    let repr =
        Repr { seq: 7, ack_number: 9, window: 1, ..Repr::new(80, 1000, Flags::FIN | Flags::ACK) };
    let mut buffer = vec![0xa5; 23];
    let mut packet = Packet::new_output(&mut buffer).unwrap();
    repr.emit(&mut packet).unwrap();
    packet.payload_mut().copy_from_slice(b"odd");
    packet.fill_checksum(ends);
    assert_eq!(buffer, &data[40..]);
}

#[test]
fn options_are_emitted_and_padded() {
    let repr = Repr {
        window_scale: Some(14),
        sack: SackBlocks::new(&[(1, 2)]).unwrap(),
        ..Repr::new(1, 2, Flags::ACK)
    };
    let data = emit!(repr);
    assert_eq!(data[12], 0x90);
    assert_eq!(data[20..], [3, 3, 14, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn truncated_at_every_length() {
    let data = bytes(TCP_SACK).split_off(20);
    for len in 0..40 {
        assert_eq!(Packet::new_checked(&data[..len]).map(|_| ()), Err(Error::Truncated));
    }
    for offset in 0..5 {
        let mut data = data.clone();
        data[12] = offset << 4;
        assert_eq!(Packet::new_checked(&data).map(|_| ()), Err(Error::Length));
    }
}

#[test]
fn lying_options_end_the_walk() {
    let walk = |bytes| OptionIter { rest: bytes }.collect::<Vec<_>>();
    assert_eq!(walk(&[1, 1, 0, 5]), [Ok(Opt::Nop), Ok(Opt::Nop)]);
    assert_eq!(walk(&[2]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[2, 0, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[2, 1, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[2, 3, 1, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[2, 4, 1]), [Err(Error::Truncated)]);
    assert_eq!(walk(&[5, 2, 1]), [Err(Error::Length)]);
    assert_eq!(walk(&[5, 9, 0, 0, 0, 0, 0, 0, 0]), [Err(Error::Length)]);
    let other = Opt::Other { kind: 254, data: &[7] };
    assert_eq!(walk(&[254, 3, 7, 4, 2]), [Ok(other), Ok(Opt::SackPermitted)]);
    assert_eq!(SackBlocks::new(&[(0, 0); 5]), Err(Error::TooMany));
}

#[test]
fn flags_that_no_tcp_sends_are_refused() {
    let legal = [
        Flags::SYN,
        Flags::SYN | Flags::ACK | Flags::ECE | Flags::CWR,
        Flags::RST,
        Flags::FIN | Flags::ACK,
        Flags::ACK | Flags::RESERVED,
    ];
    let illegal = [
        Flags::empty(),
        Flags::PSH | Flags::URG,
        Flags::FIN,
        Flags::SYN | Flags::FIN,
        Flags::SYN | Flags::RST,
        Flags::RST | Flags::FIN | Flags::ACK,
        Flags::all(),
    ];
    for flags in legal {
        let data = emit!(Repr::new(1, 2, flags));
        assert_eq!(Repr::parse(&Packet::new_checked(&data).unwrap()).unwrap().flags, flags);
    }
    for flags in illegal {
        let mut packet = Packet::new_output([0; 20]).unwrap();
        assert_eq!(Repr::new(1, 2, flags).emit(&mut packet), Err(Error::Field));
        packet.set_data_offset(5);
        packet.set_flags(flags);
        assert_eq!(Repr::parse(&packet), Err(Error::Field), "{flags:?}");
    }
}

#[test]
fn window_scale_is_bounded() {
    let repr = Repr { window_scale: Some(15), ..Repr::new(1, 2, Flags::SYN) };
    assert_eq!(repr.emit(&mut Packet::new_output([0; 24]).unwrap()), Err(Error::Field));
    let mut data = emit!(Repr { window_scale: Some(14), ..repr });
    data[22] = 255;
    let packet = Packet::new_checked(&data).unwrap();
    assert_eq!(Repr::parse(&packet).unwrap().window_scale, Some(14));
}

#[test]
fn more_options_than_fit_are_not_emitted() {
    let repr = Repr {
        timestamps: Some((1, 2)),
        sack: SackBlocks::new(&[(1, 2); 4]).unwrap(),
        ..Repr::new(1, 2, Flags::ACK)
    };
    assert_eq!(repr.emit(&mut Packet::new_output([0; 100]).unwrap()), Err(Error::Length));
}

fn flags() -> impl Strategy<Value = Flags> {
    (0..0x1000_u16).prop_map(Flags::from_bits_retain).prop_filter("legal", |flags| flags.is_legal())
}

prop_compose! {
    fn reprs()(
        ports: (u16, u16), seq: u32, ack_number: u32, flags in flags(), window: u16, urgent: u16,
        mss: Option<u16>, window_scale in proptest::option::of(0..15_u8), sack_permitted: bool,
        sack in vec(any::<(u32, u32)>(), 0..3), timestamps: Option<(u32, u32)>,
    ) -> Repr {
        let sack = SackBlocks::new(&sack).unwrap();
        Repr {
            src_port: ports.0, dst_port: ports.1, seq, ack_number, flags, window, urgent, mss,
            window_scale, sack_permitted, sack, timestamps,
        }
    }
}

proptest! {
    #[test]
    fn round_trip(repr in reprs()) {
        let data = emit!(repr);
        prop_assert_eq!(data.len(), repr.buffer_len());
        let packet = Packet::new_checked(&data).unwrap();
        prop_assert_eq!(packet.header_len(), data.len());
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn any_bytes_are_survived(mut data in spoiled(TCP_SACK)) {
        data.drain(..data.len().min(20));
        if let Ok(mut packet) = Packet::new_output(&mut data) {
            prop_assert!(packet.options().count() <= 40);
            let _ = (Repr::parse(&packet), packet.verify_checksum(V4), packet.payload().len());
            packet.fill_checksum(V4);
            packet.payload_mut().fill(0);
        }
        if let Ok(packet) = Packet::new_checked(&data) {
            prop_assert!(packet.header_len() >= HEADER_LEN);
        }
    }
}
