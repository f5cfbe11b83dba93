//! What a subscriber that lags behind keeps.

use super::super::batch::Batch;
use super::*;

/// What SECURITY.md says of each message that waits, beside its bytes.
const FOR_EACH: usize = 384;

/// Bytes that wait beside what counts, if nobody else has any of it.
fn beside(batch: &Batch) -> usize {
    let Batch { frames, segments, bytes, .. } = batch;
    let chunks: usize = segments.iter().map(|segment| segment.chunk.len()).sum();
    let descriptors = frames.capacity() * size_of_val(&frames[0]);
    let segments = segments.capacity() * size_of_val(&segments[0]);
    descriptors + segments + chunks - bytes
}

#[test]
fn a_message_between_those_of_others_takes_a_few_hundred_bytes_beside_its_own() {
    const MANY: usize = 65_536;
    let mailbox = mailbox(MANY, 1 << 26);
    let (chunk, messages) = batch(&numbers(0..10));
    let fill = |count: usize| {
        for run in messages.chunks(1).cycle().take(count) {
            let _ = mailbox.push(&Bytes::copy_from_slice(&chunk), run, &mut Vec::new());
        }
    };
    fill(MANY);
    let mut hand = Hand::default();
    assert!(next(&mailbox, &mut hand).is_some());
    assert!(beside(&hand.batch) <= FOR_EACH / 2 * MANY, "{}", beside(&hand.batch));
    // Those that were given out leave room for others, but the memory of their descriptors is still there.
    for _ in 1..MANY / 2 {
        assert!(next(&mailbox, &mut hand).is_some());
    }
    fill(MANY / 2);
    let beside = beside(&hand.batch) + beside(&mailbox.lock().batch);
    assert!(beside <= FOR_EACH * MANY, "{beside}");
    assert_eq!(mailbox.statistics().dropped, 0);
}

#[test]
fn of_a_line_that_is_mostly_spaces_only_the_message_is_kept() {
    let mailbox = mailbox(10_000, 1 << 20);
    let spaces = " ".repeat(30_000);
    for number in 0..100 {
        let wire = format!("HMSG s{spaces}1{spaces}r 12 16\r\nNATS/1.0\r\n\r\n{number:>4}\r\n");
        let (chunk, messages) = decoded(&wire.repeat(5));
        for run in [&messages[..1], &messages[1..]] {
            let _ = mailbox.push(&chunk, run, &mut Vec::new());
        }
    }
    let chunks: usize = mailbox.lock().batch.segments.iter().map(|it| it.chunk.len()).sum();
    let bytes = mailbox.statistics().pending_bytes;
    assert_eq!(bytes, 5 * 100 * (1 + 1 + 16));
    assert_eq!(chunks as u64, bytes);
    let mut hand = Hand::default();
    for number in 0..5 * 100 {
        let message = loop {
            match hand.advance(&mailbox) {
                Some(_) => break hand.message().expect("a message"),
                None => drop(mailbox.take(&mut hand, Waker::noop())),
            }
        };
        assert_eq!((message.subject.as_str(), message.reply.as_deref()), ("s", Some("r")));
        assert_eq!(message.payload, format!("{:>4}", number / 5));
    }
}

#[test]
fn what_has_been_given_out_keeps_nothing_of_its_chunk_though_more_is_in_hand() {
    const EACH: usize = 3;
    let mailbox = mailbox(100, 1 << 20);
    let chunks: Vec<_> = (0..3)
        .map(|chunk| {
            let (bytes, messages) = batch(&numbers(chunk * EACH..(chunk + 1) * EACH));
            let _ = mailbox.push(&bytes, &messages, &mut Vec::new());
            bytes
        })
        .collect();
    let mut hand = Hand::default();
    for number in 0..chunks.len() * EACH {
        assert_eq!(next(&mailbox, &mut hand), Some(number.to_string()));
        let kept = chunks.iter().filter(|chunk| !chunk.is_unique()).count();
        assert_eq!(kept, chunks.len() - number / EACH, "behind {number}");
    }
}
