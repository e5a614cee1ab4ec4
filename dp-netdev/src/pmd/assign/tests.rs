//! The dealing of queues, held against what the reference switch answers for the same ports.

use super::*;

fn cores(list: &[(u32, u32)]) -> Vec<Core> {
    list.iter().map(|&(core, numa)| Core { core, numa }).collect()
}

fn queue(port: u32, queue: u32, numa: u32, cycles: u64) -> Wanting {
    Wanting { port, name: format!("p{port}"), queue, numa, pinned: None, cycles }
}

fn pinned(port: u32, number: u32, numa: u32, core: u32) -> Wanting {
    Wanting { pinned: Some(core), ..queue(port, number, numa, 0) }
}

#[test]
fn cycles_go_up_and_down_through_the_threads() {
    let queues: Vec<_> = (0..7).map(|n| queue(1, n, 0, 0)).collect();
    let dealt = deal(&cores(&[(0, 0), (1, 0), (2, 0)]), &queues, Algorithm::Cycles, true);
    assert_eq!(dealt.cores, [0, 1, 2, 2, 1, 0, 0].map(Some));
}

#[test]
fn the_busiest_queue_is_dealt_first() {
    let queues = [queue(1, 0, 0, 10), queue(1, 1, 0, 90), queue(2, 0, 0, 50), queue(2, 1, 0, 20)];
    let dealt = deal(&cores(&[(0, 0), (1, 0)]), &queues, Algorithm::Cycles, true);
    assert_eq!(dealt.cores, [Some(0), Some(0), Some(1), Some(1)]);
    let texts: Vec<_> = dealt.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(texts[0], "Performing pmd to rx queue assignment using cycles algorithm.");
    assert_eq!(
        texts[1],
        "Core  0 on numa node 0 assigned port 'p1' rx queue 1 (measured processing cycles 90)."
    );
}

#[test]
fn roundrobin_ignores_load() {
    let queues: Vec<_> = (0..4).map(|n| queue(1, n, 0, u64::from(n) * 100)).collect();
    let dealt = deal(&cores(&[(3, 0), (7, 0), (8, 0)]), &queues, Algorithm::RoundRobin, true);
    assert_eq!(dealt.cores, [3, 7, 8, 3].map(Some));
    assert_eq!(dealt.notes[1].text, "Core  3 on numa node 0 assigned port 'p1' rx queue 0.");
}

#[test]
fn group_fills_the_least_loaded_thread() {
    let loads = [80, 70, 60, 20, 15, 10];
    let queues: Vec<_> = loads.iter().zip(0..).map(|(&load, n)| queue(1, n, 0, load)).collect();
    let dealt = deal(&cores(&[(0, 0), (1, 0), (2, 0)]), &queues, Algorithm::Group, true);
    assert_eq!(dealt.cores, [0, 1, 2, 2, 1, 0].map(Some));
}

#[test]
fn a_pinned_queue_isolates_its_thread() {
    let list = [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1), (7, 1)];
    let mut queues = vec![queue(1, 0, 0, 0), pinned(2, 0, 1, 1), pinned(2, 1, 1, 4)];
    queues.extend([queue(2, 2, 1, 0), queue(2, 3, 1, 0)]);
    let dealt = deal(&cores(&list), &queues, Algorithm::Group, true);
    assert_eq!(dealt.cores, [0, 1, 4, 5, 6].map(Some));
    assert_eq!(dealt.isolated, [1, 4]);
    queues.extend([queue(1, 1, 0, 0), queue(1, 2, 0, 0)]);
    let dealt = deal(&cores(&list), &queues, Algorithm::Group, false);
    assert_eq!(dealt.cores, [0, 1, 4, 5, 6, 2, 3].map(Some), "a shared thread comes later");
    assert!(dealt.isolated.is_empty());
}

#[test]
fn a_core_without_a_thread_cannot_be_pinned() {
    let queues = [pinned(2, 0, 0, 9)];
    let dealt = deal(&cores(&[(0, 0)]), &queues, Algorithm::Cycles, true);
    assert_eq!(dealt.cores, [Some(0)]);
    assert!(dealt.notes[0].warning);
    assert_eq!(
        dealt.notes[0].text,
        "Core  9 cannot be pinned with port 'p2' rx queue 0. Use pmd-cpu-mask to enable a pmd on \
         core 9. An alternative core will be assigned."
    );
}

#[test]
fn a_node_without_threads_is_helped_out_by_others() {
    let queues = [queue(1, 0, 1, 0), queue(1, 1, 1, 0), queue(2, 0, 0, 0), queue(2, 1, 0, 0)];
    let dealt = deal(&cores(&[(0, 0), (1, 0)]), &queues, Algorithm::Cycles, true);
    assert_eq!(dealt.cores, [0, 1, 1, 0].map(Some));
    assert_eq!(
        dealt.notes[1].text,
        "There's no available (non-isolated) pmd thread on numa node 1. Port 'p1' rx queue 0 will \
         be assigned to a pmd on numa node 0. This may lead to reduced performance."
    );
}

#[test]
fn without_threads_queues_are_not_served() {
    let dealt = deal(&[], &[queue(1, 0, 0, 0)], Algorithm::Cycles, true);
    assert_eq!(dealt.cores, [None]);
    assert_eq!(
        dealt.notes.last().map(|note| note.text.as_str()),
        Some(
            "No non-isolated pmd on any numa available for port 'p1' rx queue 0 (measured \
             processing cycles 0). This rx queue will not be polled."
        )
    );
}

#[test]
fn variance_is_zero_for_even_loads() {
    assert_eq!(variance(&[]), 0);
    assert_eq!(variance(&[50, 50]), 0);
    assert_eq!(variance(&[100, 0]), 2500);
}
