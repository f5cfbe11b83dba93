//! What is written to a WebSocket.

use std::collections::HashSet;

use super::super::deflate::Inflater;
use super::super::output::{WORTH_CUTTING, apply_mask};
use super::rig::{frames, inflating, shared};
use super::*;

#[test]
fn writing_in_another_task_leaves_the_reader_its_waker() {
    let mut rig = rig(0);
    let (reader, writer) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let (reads, writes) = (Waker::from(Arc::clone(&reader)), Waker::from(Arc::clone(&writer)));
    let (mut reads, mut writes) = (Context::from_waker(&reads), Context::from_waker(&writes));
    let mut buf = [0; 10];
    assert!(Pin::new(&mut rig.socket).poll_read(&mut reads, &mut buf).is_pending());
    for room in [usize::MAX, 3, 0] {
        rig.wire.with(|wire| wire.room = room);
        let _ = Pin::new(&mut rig.socket).poll_write(&mut writes, b"PING\r\n");
        let _ = Pin::new(&mut rig.socket).poll_flush(&mut writes);
    }
    rig.wire.with(|wire| wire.reader.take()).expect("somebody reads").wake();
    assert_eq!(reader.0.load(Ordering::SeqCst), 1);
    rig.wire.with(|wire| wire.writer.take()).expect("somebody writes").wake();
    assert_eq!(writer.0.load(Ordering::SeqCst), 1);
}

#[test]
fn what_is_written_goes_out_in_masked_frames_of_bounded_size() {
    let wire = shared(0);
    let mut socket = WebSocket::new(wire.clone(), b"", None);
    let mut cx = Context::from_waker(Waker::noop());
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let slices: Vec<_> = bytes.chunks(1001).map(io::IoSlice::new).collect();
    let result = Pin::new(&mut socket).poll_write_vectored(&mut cx, &slices);
    assert!(matches!(result, Poll::Ready(Ok(FRAME))), "{result:?}");
    let sent = frames(&wire.with(|wire| wire.outgoing.clone()));
    assert_eq!(sent, [(BINARY, bytes[..FRAME].to_vec())]);
    assert_ne!(wire.with(|wire| wire.outgoing[14..30].to_vec()), bytes[..16]);
}

#[test]
fn no_two_frames_have_the_same_mask_whatever_stream_they_are_of() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut masks = HashSet::new();
    for _ in 0..2 {
        let wire = shared(0);
        let mut socket = WebSocket::new(wire.clone(), b"", None);
        for _ in 0..2 {
            let written = Pin::new(&mut socket).poll_write(&mut cx, b"PING\r\n");
            assert!(matches!(written, Poll::Ready(Ok(6))), "{written:?}");
            // Behind the kind and the length.
            masks.insert(wire.with(|wire| std::mem::take(&mut wire.outgoing))[2..6].to_vec());
        }
    }
    assert_eq!(masks.len(), 4, "{masks:?}");
}

#[test]
fn behind_a_close_frame_no_ping_is_answered() {
    // It goes out at once, or not even what was written before it does.
    for room in [usize::MAX, 3] {
        let mut rig = rig(0);
        let mut cx = Context::from_waker(Waker::noop());
        rig.wire.with(|wire| wire.room = room);
        let written = Pin::new(&mut rig.socket).poll_write(&mut cx, b"PING\r\n");
        assert!(matches!(written, Poll::Ready(Ok(6))), "{written:?}");
        let closed = Pin::new(&mut rig.socket).poll_close(&mut cx);
        assert_eq!(closed.is_ready(), room == usize::MAX);
        rig.feed(&frame(PING, b"there?"));
        assert_eq!(rig.read(100).unwrap(), b"");
        rig.wire.with(|wire| wire.room = usize::MAX);
        assert!(Pin::new(&mut rig.socket).poll_close(&mut cx).is_ready());
        let normal = 1000_u16.to_be_bytes().to_vec();
        assert_eq!(rig.sent(), [(BINARY, b"PING\r\n".to_vec()), (CLOSE, normal)]);
    }
}

#[test]
fn compressed_messages_have_no_more_than_the_server_inflates() {
    let (wire, inflates) = (shared(0), inflating(0));
    let mut socket = WebSocket::new(wire.clone(), b"", Some(inflates.clone()));
    let mut cx = Context::from_waker(Waker::noop());
    let text = vec![b'x'; 2 * FRAME];
    for (bytes, kind, size) in [
        // Nothing is known yet, or it is too little.
        (0, BINARY, FRAME),
        (WORTH_CUTTING - 1, BINARY, FRAME),
        (WORTH_CUTTING, COMPRESSED, WORTH_CUTTING),
        (FRAME - 1, COMPRESSED, FRAME - 1),
        (usize::MAX, COMPRESSED, FRAME),
    ] {
        inflates.learn(bytes);
        let result = Pin::new(&mut socket).poll_write(&mut cx, &text);
        assert!(matches!(result, Poll::Ready(Ok(count)) if count == size), "{result:?}");
        let sent = frames(&wire.with(|wire| std::mem::take(&mut wire.outgoing)));
        let [(first, payload)] = &sent[..] else { panic!("one frame") };
        assert_eq!((*first, payload.len() == size), (kind, kind == BINARY), "{bytes}");
        if kind == COMPRESSED {
            let mut out = vec![0; text.len()];
            let step = Inflater::new(LIMIT).inflate(payload, &mut out).unwrap();
            assert_eq!((step.consumed, step.produced), (payload.len(), size));
        }
    }
}

#[test]
fn what_was_accepted_goes_out_with_a_flush_and_nothing_is_accepted_before() {
    let mut rig = rig(0);
    let mut cx = Context::from_waker(Waker::noop());
    let text = b"PUB a 4\r\nPUB?\r\n".repeat(100);
    rig.wire.with(|wire| wire.room = 5);
    let Poll::Ready(Ok(count)) = Pin::new(&mut rig.socket).poll_write(&mut cx, &text) else {
        panic!("a frame is accepted");
    };
    assert_eq!(count, text.len());
    assert!(Pin::new(&mut rig.socket).poll_flush(&mut cx).is_pending());
    assert!(Pin::new(&mut rig.socket).poll_write(&mut cx, &text).is_pending());
    rig.wire.with(|wire| wire.room = usize::MAX);
    assert!(Pin::new(&mut rig.socket).poll_flush(&mut cx).is_ready());
    let [(COMPRESSED, payload)] = &rig.sent()[..] else { panic!("one compressed frame") };
    let mut out = vec![0; 10_000];
    let inflated = Inflater::new(10_000).inflate(payload, &mut out).unwrap();
    assert_eq!(out[..inflated.produced], text);
}

#[test]
fn what_a_server_may_have_is_written_though_the_stream_breaks_in_the_middle_of_a_frame() {
    let mut rig = rig(0);
    let mut cx = Context::from_waker(Waker::noop());
    rig.wire.with(|wire| (wire.room, wire.broken) = (20, true));
    let text = [b'x'; 1_000];
    let written = Pin::new(&mut rig.socket).poll_write(&mut cx, &text);
    assert!(matches!(written, Poll::Ready(Ok(1_000))), "{written:?}");
    let reset = |result: Poll<io::Result<usize>>| match result {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        other => panic!("{other:?}"),
    };
    reset(Pin::new(&mut rig.socket).poll_write(&mut cx, &text));
    reset(Pin::new(&mut rig.socket).poll_flush(&mut cx).map_ok(|()| 0));
    assert_eq!(rig.wire.with(|wire| wire.outgoing.len()), 20);
}

#[test]
fn masks_fit_at_any_length() {
    for length in 0..40_u8 {
        let mut bytes: Vec<u8> = (0..length).collect();
        apply_mask(&mut bytes, [1, 2, 3, 4]);
        let expected: Vec<u8> = (0..length).map(|n| n ^ [1, 2, 3, 4][usize::from(n % 4)]).collect();
        assert_eq!(bytes, expected);
    }
}
