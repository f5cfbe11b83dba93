//! Golden streams of both sides: decoded whole, split at every byte, and cut off at every byte.

mod common;

use common::{Outcome, Side, decode, decode_split, golden, naive};
use nats_proto::wire::Limits;

fn streams() -> Vec<(Side, golden::Golden)> {
    let server = golden::server().into_iter().map(|one| (Side::Server, one));
    let client = golden::client().into_iter().map(|one| (Side::Client, one));
    server.chain(client).collect()
}

#[test]
fn every_stream_means_what_it_should() {
    for (side, golden) in streams() {
        let outcome = decode(side, Limits::default(), golden.stream);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.ops, golden.ops);
        naive::assert_same(&outcome, &naive::decode(side, Limits::default(), golden.stream));
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    for (side, golden) in streams() {
        let whole = decode(side, Limits::default(), golden.stream);
        for cut in 0..=golden.stream.len() {
            let split = decode_split(side, Limits::default(), golden.stream, &[cut]);
            assert_eq!(split, whole, "split at {cut}");
        }
    }
}

#[test]
fn one_byte_at_a_time_changes_nothing() {
    for (side, golden) in streams() {
        let cuts: Vec<usize> = (0..golden.stream.len()).collect();
        let split = decode_split(side, Limits::default(), golden.stream, &cuts);
        assert_eq!(split, decode(side, Limits::default(), golden.stream));
    }
}

#[test]
fn a_stream_that_ends_anywhere_gives_the_whole_operations_before() {
    for (side, golden) in streams() {
        for end in 0..golden.stream.len() {
            let stream = &golden.stream[..end];
            let Outcome { ops, error, left } = decode(side, Limits::default(), stream);
            assert_eq!(error, None);
            assert_eq!(ops, golden.ops[..ops.len()], "cut off at {end}");
            assert!(stream.ends_with(&left));
            naive::assert_same(
                &Outcome { ops, error, left },
                &naive::decode(side, Limits::default(), stream),
            );
        }
    }
}

#[test]
fn two_streams_in_a_row_are_both_there() {
    for (side, first) in streams() {
        let whole = decode(side, Limits::default(), first.stream);
        if !whole.left.is_empty() {
            continue;
        }
        for (_, second) in streams().into_iter().filter(|(other, _)| *other == side) {
            let both = [first.stream, second.stream].concat();
            let outcome = decode(side, Limits::default(), &both);
            assert_eq!(outcome.error, None);
            assert_eq!(outcome.ops[..first.ops.len()], first.ops);
            assert_eq!(outcome.ops[first.ops.len()..], second.ops);
        }
    }
}
