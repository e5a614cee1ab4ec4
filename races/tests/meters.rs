//! A meter that several threads charge.

use std::sync::Arc;

use dp_core::base::Instant;
use dp_core::meter::{Band, Meter, MeterConfig, MeterUnit};
use dp_core::packet::{BURST, Slots};
use races::model;
use shuttle::thread;

#[test]
fn threads_together_pass_what_the_bucket_holds() {
    model(500, || {
        let begin = Instant::from_millis(1000);
        let bands = vec![Band { rate: 10, burst: Some(5) }];
        let meter = Arc::new(Meter::new(MeterConfig { unit: MeterUnit::Packets, bands }, begin));
        // Half a second fills it; what would come beyond five has no room.
        let now = Instant::from_millis(3000);
        let threads = [4, 3].map(|count| {
            let meter = Arc::clone(&meter);
            thread::spawn(move || {
                let slots = Slots::first(count);
                let dropped = meter.charge(slots, &[100; BURST], now);
                slots.without(dropped).len()
            })
        });
        let passed: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(passed, 5);
        let stats = meter.stats();
        assert_eq!((stats.packets, stats.bytes), (7, 700));
        assert_eq!((stats.bands[0].packets, stats.bands[0].bytes), (2, 200));
    });
}
