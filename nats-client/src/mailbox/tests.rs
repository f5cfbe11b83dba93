//! Tests of the mailbox alone.

use std::cell::RefCell;

use nats_proto::{wire::ServerDecoder, wire::ServerOps};

use super::batch::SHARED_SEGMENTS;
use super::*;
use crate::notice::Notice;
use bytes::BytesMut;

mod memory;
mod policies;

/// `payloads` as a decoded batch.
fn batch(payloads: &[String]) -> (Bytes, Vec<ServerOp>) {
    let message = |payload: &String| format!("MSG s 1 {}\r\n{payload}\r\n", payload.len());
    decoded(&payloads.iter().map(message).collect::<String>())
}

/// What a server wrote, as a decoded batch.
fn decoded(wire: &str) -> (Bytes, Vec<ServerOp>) {
    let mut wire = BytesMut::from(wire);
    let mut ops = ServerOps::new();
    ServerDecoder::new(Default::default()).decode(&mut wire, &mut ops).expect("valid operations");
    (ops.chunk, ops.items)
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The next message, as a subscriber would get it.
fn next(mailbox: &Mailbox, hand: &mut Hand) -> Option<String> {
    loop {
        if hand.advance(mailbox).is_some() {
            let payload = hand.message()?.payload;
            return String::from_utf8(payload.to_vec()).ok();
        }
        match mailbox.take(hand, Waker::noop()) {
            Taken::Messages(_) | Taken::Rest => {}
            Taken::Nothing(_) | Taken::End => return None,
        }
    }
}

/// True if an episode of dropped messages begins, which is told.
fn push(mailbox: &Mailbox, payloads: &[String]) -> bool {
    let (chunk, messages) = batch(payloads);
    let slow = mailbox.push(&chunk, &messages, &mut Vec::new()) == Pushed::Slow;
    if slow {
        assert_eq!(told_slow(mailbox), [BEGUN], "it is not over yet");
    }
    slow
}

const BEGUN: Notice = Notice::SlowConsumer { sid: 1 };

fn ended(dropped: u64) -> Notice {
    Notice::SlowConsumerRecovered { sid: 1, dropped }
}

/// What is told of an episode that begins.
fn told_slow(mailbox: &Mailbox) -> Vec<Notice> {
    let told = RefCell::new(Vec::new());
    mailbox.tell_slow(1, |notice| told.borrow_mut().push(notice));
    told.into_inner()
}

/// What is told of one that has ended.
fn told_recovered(mailbox: &Mailbox, missed: Option<u64>) -> Vec<Notice> {
    let told = RefCell::new(Vec::new());
    mailbox.tell_recovered(1, missed, |notice| told.borrow_mut().push(notice));
    told.into_inner()
}

/// A mailbox that drops the newest messages.
fn mailbox(messages: usize, bytes: usize) -> Mailbox {
    Mailbox::new(Bounds { messages, bytes, when_full: WhenFull::DropNewest })
}

#[test]
fn messages_come_out_in_order_over_many_chunks() {
    let mailbox = mailbox(10_000, 1 << 20);
    let mut hand = Hand::default();
    let mut expected = 0..;
    for round in 0..20 {
        for chunk in 0..15 {
            let first = round * 45 + chunk * 3;
            push(&mailbox, &numbers(first..first + 3));
        }
        for number in expected.by_ref().take(45) {
            assert_eq!(next(&mailbox, &mut hand), Some(number.to_string()));
        }
        assert_eq!(next(&mailbox, &mut hand), None);
    }
}

#[test]
fn what_exceeds_the_number_of_messages_is_dropped_and_counted() {
    let mailbox = mailbox(5, 1 << 20);
    assert!(!push(&mailbox, &numbers(0..4)));
    assert!(push(&mailbox, &numbers(4..7)), "an episode begins");
    assert!(!push(&mailbox, &numbers(7..9)), "it has begun already");
    assert_eq!(mailbox.statistics().dropped, 4);
    let mut hand = Hand::default();
    let got: Vec<_> = std::iter::from_fn(|| next(&mailbox, &mut hand)).collect();
    assert_eq!(got, numbers(0..5));
}

#[test]
fn what_exceeds_the_number_of_bytes_is_dropped_and_counted() {
    // Each message costs a byte of subject and ten of payload.
    let mailbox = mailbox(100, 35);
    let payloads = vec!["0123456789".to_string(); 4];
    assert!(push(&mailbox, &payloads));
    assert_eq!(mailbox.statistics().dropped, 1);
}

#[test]
fn zero_leaves_room_for_one_message() {
    let mailbox = mailbox(0, 1_000);
    assert!(push(&mailbox, &numbers(0..2)));
    assert_eq!(next(&mailbox, &mut Hand::default()).as_deref(), Some("0"));
}

#[test]
fn messages_in_hand_count_until_they_are_given_out() {
    let mailbox = mailbox(4, 1 << 20);
    push(&mailbox, &numbers(0..4));
    let mut hand = Hand::default();
    assert_eq!(next(&mailbox, &mut hand).as_deref(), Some("0"));
    push(&mailbox, &numbers(4..6));
    assert_eq!(mailbox.statistics().dropped, 1, "three in hand leave room for one");
    let got: Vec<_> = std::iter::from_fn(|| next(&mailbox, &mut hand)).collect();
    assert_eq!(got, numbers(1..5));
}

#[test]
fn an_episode_of_slowness_ends_once_with_its_own_count() {
    let mailbox = mailbox(4, 1 << 20);
    let mut hand = Hand::default();
    for _ in 0..2 {
        assert!(push(&mailbox, &numbers(0..7)));
        assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
        while hand.advance(&mailbox).is_some() {}
        let recovered = mailbox.take(&mut hand, Waker::noop());
        assert!(matches!(recovered, Taken::Nothing(Some(3))));
        assert_eq!(told_recovered(&mailbox, Some(3)), [ended(3)]);
        let quiet = mailbox.take(&mut hand, Waker::noop());
        assert!(matches!(quiet, Taken::Nothing(None)));
    }
    assert_eq!(mailbox.statistics().dropped, 6);
}

#[test]
fn a_waiting_subscriber_is_woken_once_a_batch() {
    let mailbox = mailbox(100, 1 << 20);
    let mut hand = Hand::default();
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Nothing(None)));
    let (chunk, messages) = batch(&numbers(0..10));
    let mut wakers = Vec::new();
    let _ = mailbox.push(&chunk, &messages[..5], &mut wakers);
    let _ = mailbox.push(&chunk, &messages[5..], &mut wakers);
    assert_eq!(wakers.len(), 1);
}

#[test]
fn the_end_comes_after_the_last_message_and_keeps_its_first_reason() {
    let mailbox = mailbox(100, 1 << 20);
    let mut hand = Hand::default();
    push(&mailbox, &numbers(0..2));
    mailbox.finish(Some(EndReason::MaxReached), &mut Vec::new());
    mailbox.finish(Some(EndReason::Closed), &mut Vec::new());
    assert!(!mailbox.is_consumed());
    assert!(next(&mailbox, &mut hand).is_some());
    assert!(!mailbox.is_consumed());
    assert_eq!(hand.advance(&mailbox), Some(true), "the driver must be told of the last one");
    assert!(mailbox.is_consumed());
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::End));
    assert_eq!(mailbox.end_reason(), Some(EndReason::MaxReached));
}

#[test]
fn nothing_comes_behind_the_end() {
    let mailbox = mailbox(100, 1 << 20);
    let mut hand = Hand::default();
    push(&mailbox, &numbers(0..2));
    assert!(next(&mailbox, &mut hand).is_some());
    mailbox.finish(None, &mut Vec::new());
    // The driver has not heard of it.
    push(&mailbox, &numbers(2..4));
    assert_eq!(next(&mailbox, &mut hand).as_deref(), Some("1"));
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::End));
    push(&mailbox, &numbers(4..200));
    assert!(mailbox.is_consumed());
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::End));
    let expected = SubscriberStatistics { delivered: 2, ..Default::default() };
    assert_eq!(mailbox.statistics(), expected, "what is too late was not dropped for want of room");
}

#[test]
fn a_lagging_subscriber_does_not_keep_chunks_that_are_mostly_others() {
    let mailbox = mailbox(10_000, 1 << 20);
    let mut others = numbers(0..2_000);
    others.push("mine".to_string());
    let mut chunks = Vec::new();
    for _ in 0..100 {
        let (chunk, messages) = batch(&others);
        let _ = mailbox.push(&chunk, &messages[2_000..], &mut Vec::new());
        chunks.push(chunk);
    }
    let kept = chunks.iter().filter(|chunk| !chunk.is_unique()).count();
    assert_eq!(kept, SHARED_SEGMENTS);
    let mut hand = Hand::default();
    let got: Vec<_> = std::iter::from_fn(|| next(&mailbox, &mut hand)).collect();
    assert_eq!(got, vec!["mine"; 100]);
}

#[test]
fn an_abandoned_mailbox_takes_nothing() {
    let mailbox = mailbox(100, 1 << 20);
    let (chunk, messages) = batch(&numbers(0..3));
    let _ = mailbox.push(&chunk, &messages, &mut Vec::new());
    mailbox.abandon();
    let _ = mailbox.push(&chunk, &messages, &mut Vec::new());
    drop(messages);
    assert!(chunk.is_unique());
    assert!(mailbox.is_consumed());
}

#[test]
fn an_idle_mailbox_keeps_little_memory_after_a_burst() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let mailbox = Mailbox::new(Bounds { when_full, ..Bounds::default() });
        let mut hand = Hand::default();
        let frames =
            |hand: &Hand| hand.batch.frames.capacity() + mailbox.lock().batch.frames.capacity();
        for _ in 0..2 {
            push(&mailbox, &numbers(0..5_000));
            assert!(next(&mailbox, &mut hand).is_some());
            push(&mailbox, &numbers(0..5_000));
            assert!(frames(&hand) >= 5_000);
            while next(&mailbox, &mut hand).is_some() {}
            assert!(frames(&hand) <= 1_024, "{} frames", frames(&hand));
        }
    }
}

#[test]
fn a_small_message_that_is_kept_does_not_keep_its_chunk() {
    let mailbox = mailbox(1_000, 1_000_000);
    let long = "s".repeat(100);
    let wire = format!(
        "MSG a 1 2\r\nhi\r\nMSG {long} 1 {long} 2\r\nho\r\nHMSG a 1 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n"
    );
    let (chunk, messages) = decoded(&wire);
    let _ = mailbox.push(&chunk, &messages, &mut Vec::new());
    let mut hand = Hand::default();
    assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
    assert_eq!(hand.advance(&mailbox), Some(false));
    let plain = hand.message().expect("a plain message");
    assert_eq!((plain.subject.as_str(), &*plain.payload, plain.length), ("a", &b"hi"[..], 3));
    let mut messages = Vec::new();
    while hand.advance(&mailbox).is_some() {
        messages.extend(hand.message());
    }
    assert_eq!(messages[0].reply.as_deref(), Some(&*long));
    let headers = messages[1].headers.as_ref().expect("headers");
    assert_eq!(headers.get("A").map(|value| value.as_str()), Some("b"));
    drop(hand);
    assert!(chunk.is_unique(), "a message holds on to the chunk");
    assert_eq!(messages.len(), 2);
}

#[test]
fn a_message_that_comes_alone_keeps_no_more_memory_than_it_needs() {
    let mailbox = mailbox(1_000, 1_000_000);
    let mut hand = Hand::default();
    for count in [1, 2, 8] {
        let (chunk, messages) = batch(&numbers(0..count));
        let _ = mailbox.push(&chunk, &messages, &mut Vec::new());
        assert!(matches!(mailbox.take(&mut hand, Waker::noop()), Taken::Messages(None)));
        let mut last = None;
        while hand.advance(&mailbox).is_some() {
            last = hand.message();
        }
        // Nobody else has anything of them, or else this would be a copy.
        let payload = last.expect("a message").payload;
        assert!(payload.is_unique(), "the last of {count}");
        let kept = BytesMut::from(payload).capacity();
        assert!(kept <= 8, "{kept} bytes are kept for the last of {count}");
    }
}

#[test]
fn whatever_is_read_at_once_comes_out_as_it_came() {
    let mut rng = nats_proto::Rng::from_seed([1; 32]);
    let mut random = |below: usize| (rng.next_u64() % below as u64) as usize;
    for round in 0..100 {
        let mailboxes = [0; 3].map(|_| mailbox(100_000, 64 << 20));
        let mut expected: [Vec<(String, String)>; 3] = Default::default();
        let mut wire = Vec::new();
        for number in 0..3_000 {
            let subject = "s".repeat([1, 1, 1, 13, 22, 23, 40][random(7)]);
            let payload = match random(20) {
                0 => "x".repeat(random(700)),
                1 => String::new(),
                _ => number.to_string(),
            };
            let to = if random(4) == 0 { random(3) } else { round % 3 };
            let reply = ["", "", " r", " _INBOX.0123456789012345678901.1-2"][random(4)];
            wire.extend(
                format!("MSG {subject} {to}{reply} {}\r\n{payload}\r\n", payload.len()).bytes(),
            );
            expected[to].push((subject, payload));
        }
        let mut decoder = ServerDecoder::new(Default::default());
        let mut ops = ServerOps::new();
        let mut input = BytesMut::new();
        let mut rest = &wire[..];
        let mut hands = [0; 3].map(|_| Hand::default());
        let mut got: [Vec<(String, String)>; 3] = Default::default();
        let mut drain = |index: usize, hands: &mut [Hand; 3], most: usize| {
            let (mailbox, hand) = (&mailboxes[index], &mut hands[index]);
            for _ in 0..most {
                if hand.advance(mailbox).is_none() {
                    match mailbox.take(hand, Waker::noop()) {
                        Taken::Messages(_) | Taken::Rest => continue,
                        _ => return,
                    }
                }
                let message = hand.message().expect("a message");
                let payload = String::from_utf8(message.payload.to_vec()).expect("text");
                got[index].push((message.subject.into_string(), payload));
            }
        };
        while !rest.is_empty() {
            let most = [20, 500, 16_384][random(3)];
            let count = (1 + random(most)).min(rest.len());
            input.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            decoder.decode(&mut input, &mut ops).expect("valid operations");
            let sid = |op: &ServerOp| frame(op).sid;
            for run in ops.items.chunk_by(|a, b| sid(a) == sid(b)) {
                let _ = mailboxes[sid(&run[0]) as usize].push(&ops.chunk, run, &mut Vec::new());
            }
            if random(30) == 0 {
                let index = random(3);
                drain(index, &mut hands, random(500));
            }
        }
        for index in 0..3 {
            drain(index, &mut hands, usize::MAX);
        }
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.len(), expected.len(), "round {round}");
            for (index, pair) in got.iter().zip(expected).enumerate() {
                assert_eq!(pair.0, pair.1, "{index} in round {round}");
            }
        }
    }
}

#[test]
fn a_few_bytes_do_not_keep_a_large_buffer() {
    // However early they come: a large message for somebody else, and a small one behind it.
    let payload = "x".repeat(1_000_000);
    let wire = format!("MSG other 2 {}\r\n{payload}\r\nMSG s 1 2\r\nhi\r\n", payload.len());
    let (chunk, messages) = decoded(&wire);
    let mailbox = mailbox(100, 1 << 22);
    assert_eq!(mailbox.push(&chunk, &messages[1..], &mut Vec::new()), Pushed::Done);
    drop(messages);
    assert!(chunk.is_unique());
    assert_eq!(next(&mailbox, &mut Hand::default()).as_deref(), Some("hi"));
    // What is mostly its own is not copied.
    let wire = format!("MSG s 1 {}\r\n{payload}\r\n", payload.len());
    let (chunk, messages) = decoded(&wire);
    assert_eq!(mailbox.push(&chunk, &messages, &mut Vec::new()), Pushed::Done);
    assert!(!chunk.is_unique());
}
