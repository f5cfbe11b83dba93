//! What happens to more messages than may wait.

use super::*;

fn with(messages: usize, bytes: usize, when_full: WhenFull) -> Mailbox {
    Mailbox::new(Bounds { messages, bytes, when_full })
}

fn push_all(mailbox: &Mailbox, payloads: &[String]) -> Pushed {
    let (chunk, messages) = batch(payloads);
    mailbox.push(&chunk, &messages, &mut Vec::new())
}

/// A payload of which a message counts for `cost`.
fn costing(cost: usize) -> String {
    "x".repeat(cost - 1)
}

/// The ways in which a subscriber ends.
const ENDS: [fn(&Mailbox) -> Option<u64>; 2] =
    [Mailbox::abandon, |mailbox| mailbox.finish(None, &mut Vec::new())];

fn rest(mailbox: &Mailbox, hand: &mut Hand) -> Vec<String> {
    std::iter::from_fn(|| next(mailbox, hand)).collect()
}

#[test]
fn the_oldest_make_room_for_the_newest() {
    let mailbox = with(5, 1 << 20, WhenFull::DropOldest);
    assert_eq!(push_all(&mailbox, &numbers(0..4)), Pushed::Done);
    assert_eq!(push_all(&mailbox, &numbers(4..7)), Pushed::Slow);
    assert_eq!(told_slow(&mailbox), [BEGUN]);
    assert_eq!(push_all(&mailbox, &numbers(7..8)), Pushed::Done);
    assert_eq!(mailbox.statistics().dropped, 3);
    assert_eq!(rest(&mailbox, &mut Hand::default()), numbers(3..8));
    let statistics = mailbox.statistics();
    assert_eq!((statistics.delivered, statistics.pending_messages), (5, 0));
}

#[test]
fn a_batch_larger_than_the_room_leaves_its_end() {
    let mailbox = with(5, 1 << 20, WhenFull::DropOldest);
    let _ = push_all(&mailbox, &numbers(0..2));
    let _ = push_all(&mailbox, &numbers(2..20));
    assert_eq!(mailbox.statistics().dropped, 15);
    assert_eq!(rest(&mailbox, &mut Hand::default()), numbers(15..20));
}

#[test]
fn the_oldest_make_room_in_bytes() {
    // Each message costs a byte of subject and ten of payload.
    let mailbox = with(100, 35, WhenFull::DropOldest);
    let payload = |number: usize| format!("{number:010}");
    for number in 0..20 {
        let _ = push_all(&mailbox, &[payload(number)]);
    }
    let statistics = mailbox.statistics();
    assert_eq!((statistics.dropped, statistics.pending_bytes), (17, 33));
    assert_eq!(rest(&mailbox, &mut Hand::default()), (17..20).map(payload).collect::<Vec<_>>());
}

#[test]
fn what_can_never_fit_pushes_nothing_out() {
    let mailbox = with(100, 35, WhenFull::DropOldest);
    let huge = "x".repeat(50);
    let run = ["1", "2", &huge, "3"].map(str::to_owned);
    let _ = push_all(&mailbox, &run);
    let _ = push_all(&mailbox, &[huge]);
    assert_eq!(mailbox.statistics().dropped, 2);
    assert_eq!(rest(&mailbox, &mut Hand::default()), ["1", "2", "3"]);
}

#[test]
fn what_does_not_fit_beside_what_is_given_out_pushes_nothing_out() {
    let mailbox = with(1_000, 1_000, WhenFull::DropOldest);
    let mut hand = Hand::default();
    let _ = push_all(&mailbox, &vec![costing(10); 30]);
    assert!(next(&mailbox, &mut hand).is_some());
    // Fifteen are in hand.
    let _ = push_all(&mailbox, &[costing(851)]);
    assert_eq!(mailbox.statistics().dropped, 1);
    assert_eq!(rest(&mailbox, &mut hand), vec![costing(10); 29]);
}

#[test]
fn a_message_that_does_not_fit_takes_no_others_along() {
    let mailbox = with(1_000, 100, WhenFull::DropNewest);
    let _ = push_all(&mailbox, &[costing(101), costing(60), costing(50), costing(40), costing(1)]);
    assert_eq!(mailbox.statistics().dropped, 3);
    assert_eq!(rest(&mailbox, &mut Hand::default()), [costing(60), costing(40)]);
}

#[test]
fn what_is_read_at_once_fares_as_what_is_read_one_by_one() {
    let mut rng = nats_proto::Rng::from_seed([2; 32]);
    let mut random = |below: usize| (rng.next_u64() % below as u64) as usize;
    for round in 0..2_000 {
        let when_full = [WhenFull::DropNewest, WhenFull::DropOldest][round % 2];
        let (messages, bytes) = (1 + random(10), 1 + random(200));
        let [at_once, one_by_one] = [0; 2].map(|_| with(messages, bytes, when_full));
        let mut hands = [0; 2].map(|_| Hand::default());
        for _ in 0..5 {
            let run: Vec<_> = (0..random(10)).map(|_| costing(1 + random(150))).collect();
            let _ = push_all(&at_once, &run);
            for message in run {
                let _ = push_all(&one_by_one, &[message]);
            }
            assert_eq!(at_once.statistics(), one_by_one.statistics(), "round {round}");
            for _ in 0..random(5) {
                let [a, b] = &mut hands;
                assert_eq!(next(&at_once, a), next(&one_by_one, b), "round {round}");
            }
        }
        let [a, b] = &mut hands;
        assert_eq!(rest(&at_once, a), rest(&one_by_one, b), "round {round}");
    }
}

#[test]
fn what_the_subscriber_has_begun_to_give_out_stays() {
    let mailbox = with(8, 1 << 20, WhenFull::DropOldest);
    let mut hand = Hand::default();
    let _ = push_all(&mailbox, &numbers(0..8));
    // It takes two, a quarter of the room.
    assert_eq!(next(&mailbox, &mut hand).as_deref(), Some("0"));
    let _ = push_all(&mailbox, &numbers(8..18));
    let got = rest(&mailbox, &mut hand);
    assert_eq!(got, [numbers(1..2), numbers(11..18)].concat());
    let statistics = mailbox.statistics();
    assert_eq!((statistics.delivered, statistics.dropped), (9, 9));
}

#[test]
fn chunks_are_let_go_of_with_the_last_message_that_is_dropped() {
    let mailbox = with(1_000, 1 << 20, WhenFull::DropOldest);
    let mut chunks = Vec::new();
    for round in 0..100 {
        let (chunk, messages) = batch(&numbers(round * 100..round * 100 + 100));
        let _ = mailbox.push(&chunk, &messages, &mut Vec::new());
        chunks.push(chunk);
    }
    let kept = chunks.iter().filter(|chunk| !chunk.is_unique()).count();
    // Eight are shared, and the others were copied.
    assert!(kept <= 10, "{kept} chunks are kept");
    assert_eq!(rest(&mailbox, &mut Hand::default()), numbers(9_000..10_000));
    assert_eq!(mailbox.statistics().dropped, 9_000);
}

#[test]
fn nothing_is_dropped_if_the_connection_is_to_wait() {
    let mailbox = with(4, 1 << 20, WhenFull::Block);
    let mut hand = Hand::default();
    assert_eq!(push_all(&mailbox, &numbers(0..3)), Pushed::Done);
    assert_eq!(push_all(&mailbox, &numbers(3..10)), Pushed::Blocks);
    assert!(mailbox.holds_up());
    for number in 0..10 {
        assert_eq!(next(&mailbox, &mut hand), Some(number.to_string()));
    }
    assert!(!mailbox.holds_up());
    let statistics = mailbox.statistics();
    assert_eq!((statistics.delivered, statistics.dropped), (10, 0));
}

#[test]
fn the_driver_hears_once_that_it_is_to_wait_however_many_runs_a_batch_has() {
    for (messages, when_full, told) in
        [(16, WhenFull::Block, Pushed::Blocks), (8_192, WhenFull::DropNewest, Pushed::Behind)]
    {
        let mailbox = with(messages, 1 << 21, when_full);
        let mut hand = Hand::default();
        for _ in 0..2 {
            let push_one = || push_all(&mailbox, &numbers(0..1));
            assert!((0..messages).any(|_| push_one() == told), "never told");
            assert_eq!(push_one(), Pushed::Done);
            assert!(mailbox.holds_up());
            while next(&mailbox, &mut hand).is_some() {}
            assert!(!mailbox.holds_up());
        }
    }
}

#[test]
fn the_driver_is_told_of_room_before_the_last_message() {
    // A page has room for about sixteen of the largest, and for all of the smallest.
    for (size, first) in [(250, 100), (1, 100), (1, 99), (1, 60), (1, 1), (5_000, 99)] {
        let mailbox = with(100, 1 << 20, WhenFull::Block);
        let mut hand = Hand::default();
        let _ = push_all(&mailbox, &vec!["x".repeat(size); first]);
        assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
        // One page is begun before there are too many.
        assert!(hand.advance(&mailbox).is_some());
        let _ = push_all(&mailbox, &vec!["x".repeat(size); 101 - first]);
        let mut told = Vec::new();
        while hand.has_more()
            || matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(_))
        {
            if hand.advance(&mailbox) == Some(true) && !mailbox.holds_up() {
                told.push(mailbox.statistics().pending_messages);
            }
        }
        assert!(matches!(told[..], [25..=50]), "{told:?} of {size} bytes, {first} at first");
    }
}

#[test]
fn the_driver_is_told_of_room_in_bytes_before_the_last_message() {
    let mailbox = with(1_000, 100_000, WhenFull::Block);
    let mut hand = Hand::default();
    assert_eq!(push_all(&mailbox, &vec![costing(1_000); 100]), Pushed::Blocks);
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
    let told = std::iter::from_fn(|| hand.advance(&mailbox)).take_while(|told| !told).count();
    assert!((49..75).contains(&told), "{told}");
    assert!(!mailbox.holds_up());
}

#[test]
fn who_is_gone_or_ended_holds_up_nobody() {
    for end in ENDS {
        let mailbox = with(4, 1 << 20, WhenFull::Block);
        assert_eq!(push_all(&mailbox, &numbers(0..10)), Pushed::Blocks);
        assert!(mailbox.holds_up());
        assert_eq!(end(&mailbox), None);
        assert!(!mailbox.holds_up());
    }
}

#[test]
fn an_episode_ends_with_its_subscription() {
    for end in ENDS {
        let mailbox = mailbox(4, 1 << 20);
        assert!(push(&mailbox, &numbers(0..7)));
        assert_eq!(end(&mailbox), Some(3));
        assert_eq!(end(&mailbox), None);
    }
}

#[test]
fn the_end_of_an_episode_is_not_told_before_its_beginning() {
    let mailbox = mailbox(4, 1 << 20);
    let mut hand = Hand::default();
    assert_eq!(push_all(&mailbox, &numbers(0..7)), Pushed::Slow);
    // The subscriber is faster than the driver.
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
    while hand.advance(&mailbox).is_some() {}
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Nothing(None)));
    assert_eq!(told_slow(&mailbox), [BEGUN, ended(3)]);
}

#[test]
fn an_episode_does_not_begin_before_the_end_of_the_last_one_is_told() {
    let mailbox = mailbox(4, 1 << 20);
    let mut hand = Hand::default();
    assert!(push(&mailbox, &numbers(0..7)));
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
    while hand.advance(&mailbox).is_some() {}
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Nothing(Some(3))));
    // The driver drops more before the subscriber has told.
    assert_eq!(push_all(&mailbox, &numbers(0..6)), Pushed::Done);
    assert_eq!(push_all(&mailbox, &numbers(6..7)), Pushed::Done);
    assert_eq!(told_recovered(&mailbox, Some(3)), [ended(3), BEGUN]);
    assert_eq!(push_all(&mailbox, &numbers(7..8)), Pushed::Done);
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
    while hand.advance(&mailbox).is_some() {}
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Nothing(Some(4))));
    assert_eq!(told_recovered(&mailbox, Some(4)), [ended(4)]);
    assert_eq!(push_all(&mailbox, &numbers(0..5)), Pushed::Slow);
}

#[test]
fn what_is_dropped_before_an_end_is_told_is_told_though_nothing_more_comes() {
    for end in ENDS {
        let mailbox = mailbox(4, 1 << 20);
        let mut hand = Hand::default();
        assert!(push(&mailbox, &numbers(0..7)));
        while next(&mailbox, &mut hand).is_some() {}
        // `next` has taken the end of that episode, of which nothing is told yet.
        assert_eq!(push_all(&mailbox, &numbers(0..6)), Pushed::Done);
        assert_eq!(end(&mailbox), None, "the subscriber tells");
        assert_eq!(told_recovered(&mailbox, Some(3)), [ended(3), BEGUN, ended(2)]);
    }
}

#[test]
fn messages_that_can_never_fit_are_one_episode_until_one_is_accepted() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let mailbox = with(100, 50, when_full);
        let mut hand = Hand::default();
        for _ in 0..2 {
            assert_eq!(push_all(&mailbox, &[costing(51)]), Pushed::Slow);
            assert_eq!(told_slow(&mailbox), [BEGUN], "nothing has been accepted");
            for _ in 0..4 {
                assert_eq!(push_all(&mailbox, &[costing(60)]), Pushed::Done);
                let nothing = mailbox.take(&mut hand, Waker::noop());
                assert!(matches!(nothing, Taken::Nothing(None)));
            }
            assert_eq!(push_all(&mailbox, &[costing(10)]), Pushed::Done);
            let accepted = mailbox.take(&mut hand, Waker::noop());
            assert!(matches!(accepted, Taken::Messages(Some(5))));
            assert_eq!(told_recovered(&mailbox, Some(5)), [ended(5)]);
            assert!(hand.advance(&mailbox).is_some());
        }
        assert_eq!(mailbox.statistics().dropped, 10);
    }
}

#[test]
fn every_message_is_counted_once() {
    let dropped = |notice: &Notice| match notice {
        Notice::SlowConsumerRecovered { dropped, .. } => *dropped,
        _ => 0,
    };
    let sum = |told: &[Notice]| told.iter().map(dropped).sum::<u64>();
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block] {
        let mailbox = with(50, 300, when_full);
        let mut hand = Hand::default();
        let (mut pushed, mut taken, mut missed) = (0, 0, 0);
        for round in 0..200_usize {
            let size = round * 7 % 23;
            pushed += size as u64;
            if push_all(&mailbox, &numbers(0..size)) == Pushed::Slow {
                missed += sum(&told_slow(&mailbox));
            }
            for _ in 0..round * 5 % 17 {
                if hand.advance(&mailbox).is_some() {
                    taken += 1;
                    continue;
                }
                match mailbox.take(&mut hand, Waker::noop()) {
                    Taken::Messages(ended) | Taken::Nothing(ended) => {
                        missed += sum(&told_recovered(&mailbox, ended));
                    }
                    Taken::Rest => {}
                    Taken::End => panic!("nobody has ended it"),
                }
            }
            let now = mailbox.statistics();
            assert_eq!(now.delivered, taken, "{when_full:?}");
            assert_eq!(now.delivered + now.pending_messages + now.dropped, pushed, "{when_full:?}");
            assert!(when_full == WhenFull::Block || now.pending_messages <= 50);
        }
        missed += mailbox.finish(None, &mut Vec::new()).unwrap_or(0);
        assert_eq!(missed, mailbox.statistics().dropped, "{when_full:?}");
        assert_eq!(missed > 0, when_full != WhenFull::Block);
    }
}
