use super::*;

#[test]
fn the_generator_gives_the_published_sequences() {
    let mut state = 1_234_567;
    assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
    assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    let mut rng = Rng { state: [1, 2, 3, 4] };
    let first: Vec<u64> = (0..4).map(|_| rng.u64()).collect();
    assert_eq!(first, [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]);
}

#[test]
fn the_same_seed_gives_the_same_packets_and_another_seed_others() {
    assert_eq!(Rng::new(7).bytes(64), Rng::new(7).bytes(64));
    assert_ne!(Rng::new(7).bytes(64), Rng::new(8).bytes(64));
    let mut parent = Rng::new(7);
    assert_ne!(parent.fork().bytes(64), parent.fork().bytes(64));
}

#[test]
fn numbers_stay_below_their_bound_and_reach_all_of_it() {
    let mut rng = Rng::new(1);
    let mut seen = [0u32; 7];
    for _ in 0..7_000 {
        seen[rng.index(7)] += 1;
    }
    assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    assert_eq!(rng.pick::<u8>(&[]), None);
    assert_eq!(rng.pick(&[5]), Some(&5));
}

#[test]
fn a_shuffle_keeps_every_item() {
    let mut items: Vec<u32> = (0..100).collect();
    Rng::new(3).shuffle(&mut items);
    assert!(!items.is_sorted());
    items.sort_unstable();
    assert_eq!(items, (0..100).collect::<Vec<u32>>());
}

#[test]
fn the_variable_takes_numbers_of_both_bases_and_random() {
    assert_eq!(override_seed("123"), 123);
    assert_eq!(override_seed("0x7b"), 123);
    assert_ne!(override_seed("random"), override_seed("random"));
    let refused = std::panic::catch_unwind(|| override_seed("twelve")).unwrap_err();
    let message = refused.downcast_ref::<String>().unwrap();
    assert!(message.contains("DP_TEST_SEED=\"twelve\""), "{message}");
}
