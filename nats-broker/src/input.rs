//! From the bytes of a client to its operations, and how many of them are handled at a time.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};
use nats_proto::Instant;
use nats_proto::wire::ClientOp;

use crate::Broker;
use crate::event::SessionId;
use crate::operations::error_text;
use crate::session::{Phase, Session};

/// Operations that were decoded and are still to be handled.
#[derive(Debug)]
pub(crate) struct Undone {
    chunk: Bytes,
    held: usize,
    ops: vec::IntoIter<ClientOp>,
}

/// How far the broker got with what a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of it is handled.
    Done,
    /// Operations are left: the same call is to be made again, before anything else of this client is read.
    Unfinished,
}

impl Broker {
    /// A client sent `input`: decodes and handles every whole operation at its front, and leaves an incomplete
    /// one there, to be completed by the caller and given again.
    ///
    /// A payload of 4 KiB or more that is half of `input` at least is delivered as a slice of its memory; any other is
    /// copied, once if it is large. So a waiting payload keeps little more than itself in memory, if `input` has not much
    /// more memory than bytes: give it a new one after a large message.
    pub fn handle_input(&mut self, now: Instant, session: SessionId, input: &mut BytesMut) {
        let mut stalled = None;
        loop {
            let progress = self.handle_input_within(u64::MAX, now, session, input);
            let Some(from) = self.sessions.get_mut(&session) else {
                return;
            };
            stalled = from.stalled.or(stalled);
            if progress == Progress::Done {
                from.stalled = stalled;
                return;
            }
        }
    }

    /// The same, but goes on with no further operation once it has taken so many steps, each of which is a place where
    /// somebody may have subscribed, or a subscription; or once the client [is stalled](Self::is_stalled), unless nothing
    /// was written meanwhile to the one for whom it was before.
    ///
    /// What one operation takes is not divided: what is subscribed to bounds it, and not what was read.
    pub(crate) fn handle_input_within(
        &mut self,
        steps: u64,
        now: Instant,
        session: SessionId,
        input: &mut BytesMut,
    ) -> Progress {
        let end = self.steps.saturating_add(steps);
        let must_introduce_itself = self.config.auth.is_required();
        let Some(from) = self.sessions.get_mut(&session).filter(|from| !from.is_closing()) else {
            input.clear();
            return Progress::Done;
        };
        let (undone, stalled) = (from.undone.take(), from.stalled.take());
        if must_introduce_itself
            && from.phase == Phase::Introducing
            && input.first().is_some_and(|byte| !byte.eq_ignore_ascii_case(&b'C'))
        {
            self.refuse(session, error_text::AUTHORIZATION_VIOLATION);
            input.clear();
            return Progress::Done;
        }
        // Who does not read is not waited for twice.
        let waits = stalled.is_none_or(|(to, pending)| {
            self.sessions.get(&to).is_none_or(|to| to.pending() < pending)
        });
        if let Some(Undone { chunk, held, mut ops }) = undone {
            self.handle_operations((end, waits), now, session, (&chunk, held), &mut ops);
            if let Some(from) = self.unfinished(session, &ops) {
                from.undone = Some(Undone { chunk, held, ops });
                return Progress::Unfinished;
            }
            if !self.is_open(session) {
                input.clear();
                return Progress::Done;
            }
        }
        let mut ops = mem::take(&mut self.ops);
        let held = input.len();
        let decoder = self.sessions.get_mut(&session).map(|from| &mut from.decoder);
        let decoded = decoder.map_or(Ok(()), |decoder| decoder.decode(input, &mut ops));
        let mut items = ops.items.drain(..);
        self.handle_operations((end, waits), now, session, (&ops.chunk, held), &mut items);
        if let Some(from) = self.unfinished(session, &items) {
            let rest = items.collect::<Vec<_>>().into_iter();
            from.undone = Some(Undone { chunk: mem::take(&mut ops.chunk), held, ops: rest });
            self.ops = ops;
            return Progress::Unfinished;
        }
        drop(items);
        ops.clear();
        self.ops = ops;
        if let Err(error) = decoded {
            self.handle_violation(session, &error, input);
        }
        Progress::Done
    }

    /// Handles operations until there are no more, the session ends, `end` steps are taken, or somebody is to be waited
    /// for.
    fn handle_operations(
        &mut self,
        (end, waits): (u64, bool),
        now: Instant,
        session: SessionId,
        (chunk, held): (&Bytes, usize),
        ops: &mut impl Iterator<Item = ClientOp>,
    ) {
        for op in ops {
            self.handle_operation(now, session, chunk, held, op);
            let from = self.sessions.get(&session).filter(|from| !from.is_closing());
            if self.steps >= end || from.is_none_or(|from| waits && from.stalled.is_some()) {
                break;
            }
        }
    }

    /// The session, if it is open and some of its operations are left.
    fn unfinished(
        &mut self,
        session: SessionId,
        ops: &impl ExactSizeIterator,
    ) -> Option<&mut Session> {
        self.sessions.get_mut(&session).filter(|from| !from.is_closing() && ops.len() > 0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use nats_proto::wire::OutBuf;

    use super::*;
    use crate::Config;

    /// A broker with a client that hears from another one, and what that one says: 200 publishes that many of its own
    /// subscriptions match, which it does not want to hear, and an error.
    fn broker() -> (Broker, [SessionId; 2], BytesMut) {
        let mut broker = Broker::new(Config::default(), [1; 32]);
        let clients = [(); 2].map(|()| broker.handle_connect(Instant::ZERO, ""));
        let mut introduction = String::from("CONNECT {\"verbose\":false,\"echo\":false}\r\n");
        let mut hear = BytesMut::from(format!("{introduction}SUB * q 1\r\n").as_bytes());
        broker.handle_input(Instant::ZERO, clients[0], &mut hear);
        (0..100).for_each(|sid| introduction += &format!("SUB * {sid}\r\nSUB * q q{sid}\r\n"));
        broker.handle_input(
            Instant::ZERO,
            clients[1],
            &mut BytesMut::from(introduction.as_bytes()),
        );
        let mut input = String::new();
        (0..200).for_each(|number| input += &format!("PUB s{} 0\r\n\r\n", number % 7));
        (broker, clients, BytesMut::from((input + "PING\r\nNONSENSE\r\n").as_bytes()))
    }

    fn outputs(broker: &mut Broker, clients: [SessionId; 2]) -> [Vec<u8>; 2] {
        clients.map(|client| {
            let mut out = OutBuf::new();
            broker.poll_transmit(client, &mut out);
            out.chunks().collect::<Vec<_>>().concat()
        })
    }

    #[test]
    fn what_is_handled_in_parts_gives_the_same_as_all_at_once() {
        let (mut whole, clients, mut input) = broker();
        whole.handle_input(Instant::ZERO, clients[1], &mut input);
        let expected = outputs(&mut whole, clients);
        assert_eq!(expected[0].windows(4).filter(|word| word == b"MSG ").count(), 200);
        assert!(expected[1].ends_with(b"PONG\r\n-ERR 'Unknown Protocol Operation'\r\n"));
        for (steps, least) in [(1, 201), (1_000, 20)] {
            let (mut parts, clients, mut input) = broker();
            let mut calls = 1;
            while parts.handle_input_within(steps, Instant::ZERO, clients[1], &mut input)
                == Progress::Unfinished
            {
                calls += 1;
            }
            assert!(calls >= least, "{calls} calls for {steps} steps each");
            assert_eq!(outputs(&mut parts, clients), expected);
        }
    }

    #[test]
    fn who_reads_on_is_waited_for_and_who_does_not_is_waited_for_once() {
        let config = Config { max_pending: 1_000, ..Config::default() };
        let mut broker = Broker::new(config, [1; 32]);
        let [reader, publisher] = [(); 2].map(|()| broker.handle_connect(Instant::ZERO, ""));
        let read = |broker: &mut Broker| {
            let mut out = OutBuf::new();
            broker.poll_transmit(reader, &mut out);
            let count = out.len();
            // The driver tells that it has written it.
            broker.poll_transmit(reader, &mut OutBuf::new());
            count
        };
        let introduction = &b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n"[..];
        broker.handle_input(Instant::ZERO, reader, &mut BytesMut::from(introduction));
        read(&mut broker);
        let introduction = &b"CONNECT {\"verbose\":false}\r\n"[..];
        broker.handle_input(Instant::ZERO, publisher, &mut BytesMut::from(introduction));
        // `MSG a 1 86`, the payload and the line ends are 100 bytes.
        let message = [b"PUB a 86\r\n", &[b'x'; 86][..], b"\r\n"].concat();
        let go_on = |broker: &mut Broker, input: &mut BytesMut| {
            broker.handle_input_within(u64::MAX, Instant::ZERO, publisher, input)
        };
        let mut input = BytesMut::from(&message.repeat(31)[..]);
        for calls in 1..=5 {
            assert_eq!(go_on(&mut broker, &mut input), Progress::Unfinished, "{calls}");
            assert!(broker.is_stalled(publisher));
            assert_eq!(read(&mut broker), 600);
        }
        assert_eq!(go_on(&mut broker, &mut input), Progress::Done);
        assert!(!broker.is_stalled(publisher));
        let mut input = BytesMut::from(&message.repeat(9)[..]);
        assert_eq!(go_on(&mut broker, &mut input), Progress::Unfinished);
        assert_eq!(go_on(&mut broker, &mut input), Progress::Done);
        assert!(broker.is_stalled(publisher) && broker.is_open(reader));
        // So it is with all at once, which waits for nobody.
        assert_eq!(read(&mut broker), 1_000);
        broker.handle_input(Instant::ZERO, publisher, &mut BytesMut::from(&message.repeat(11)[..]));
        assert!(broker.is_stalled(publisher) && !broker.is_open(reader));
    }

    #[test]
    fn what_a_client_does_not_want_to_hear_of_itself_costs_once_for_a_subject() {
        let mut broker = Broker::new(Config::default(), [1; 32]);
        let client = broker.handle_connect(Instant::ZERO, "");
        let mut text = String::from("CONNECT {\"verbose\":false,\"echo\":false}\r\n");
        (0..1_000).for_each(|sid| text += &format!("SUB a {sid}\r\n"));
        let mut publish = |text: &str| {
            let before = broker.steps;
            broker.handle_input(Instant::ZERO, client, &mut BytesMut::from(text.as_bytes()));
            broker.steps - before
        };
        publish(&text);
        assert_eq!(publish("PUB a 0\r\n\r\n"), 1_001);
        assert_eq!(publish("PUB a 0\r\n\r\n"), 0);
        // It may think otherwise of it, and then hears all that it has subscribed to since.
        publish("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
        assert_eq!(publish("PUB a 0\r\n\r\n"), 2);
        assert_eq!(publish("PUB a 0\r\n\r\n"), 1);
    }

    #[test]
    fn what_is_left_of_a_client_that_goes_is_not_handled() {
        let (mut broker, clients, mut input) = broker();
        let progress = broker.handle_input_within(1, Instant::ZERO, clients[1], &mut input);
        assert_eq!(progress, Progress::Unfinished);
        broker.hang_up(clients[1]);
        let progress = broker.handle_input_within(1, Instant::ZERO, clients[1], &mut input);
        assert_eq!(progress, Progress::Done);
        let [heard, _] = outputs(&mut broker, clients);
        assert_eq!(heard.windows(4).filter(|word| word == b"MSG ").count(), 1);
    }

    #[test]
    fn nothing_is_handled_behind_an_operation_that_ends_a_client() {
        let (mut broker, clients, _) = broker();
        // It did not ask for headers.
        let text = b"PUB s 0\r\n\r\nPUB s 0\r\n\r\nHPUB s 12 12\r\nNATS/1.0\r\n\r\n\r\n";
        let mut input = BytesMut::from(&text[..]);
        let progress = broker.handle_input_within(1, Instant::ZERO, clients[1], &mut input);
        assert_eq!(progress, Progress::Unfinished);
        input.extend_from_slice(b"PUB s 0\r\n\r\n");
        let progress = broker.handle_input_within(u64::MAX, Instant::ZERO, clients[1], &mut input);
        assert_eq!(progress, Progress::Done);
        assert!(input.is_empty() && !broker.is_open(clients[1]));
        let [heard, _] = outputs(&mut broker, clients);
        assert_eq!(heard.windows(4).filter(|word| word == b"MSG ").count(), 2);
    }
}
