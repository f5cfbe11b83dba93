//! Futures that are dropped at every moment there is, and what must be as if nothing had happened.

use std::cell::Cell;
use std::fmt::Debug;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::StreamExt;
use nats_client::{Client, ConnectOptions, Message, Request, RequestErrorKind, Subscriber};
use nats_tests::server::ReservedPort;

use crate::support::{Env, Rt, next, text, until, within};

/// Where the responder answers.
pub(crate) const ASK: &str = "table.ask";
/// Where it answers with ten messages, the numbers from 0 on.
pub(crate) const ASK_MANY: &str = "table.ask.many";
/// Where subscriptions are made that must be gone afterwards.
pub(crate) const SUBSCRIBED: &str = "left.over";

/// Longer than the test: what would wait for this long hangs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What waits for room in the buffer of a client that is away.
const LARGE: usize = 300;

/// How the client is when the future begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Circumstance {
    Connected,
    /// It has no connection and no room, and gets both after a while.
    Away,
}

/// Another client, which answers, and sees everything that is published.
pub(crate) struct Company {
    pub(crate) client: Client,
    witness: Subscriber,
}

impl Company {
    pub(crate) async fn new<R: Rt>(options: ConnectOptions<R>, url: &str) -> Self {
        let client = options.connect(url).await.unwrap();
        let witness = client.subscription("table.>").confirmed().await.unwrap();
        for subject in [ASK, ASK_MANY, "check.echo"] {
            let mut questions = client.subscription(subject).confirmed().await.unwrap();
            let client = client.clone();
            R::spawn(async move {
                while let Some(question) = questions.next().await {
                    answer(&client, question).await;
                }
            });
        }
        Self { client, witness }
    }

    /// What was seen since the last time.
    async fn seen(&mut self) -> Vec<Message> {
        self.client.flush().await.unwrap();
        std::iter::from_fn(|| self.witness.next().now_or_never().flatten()).collect()
    }
}

async fn answer(client: &Client, question: Message) {
    let reply = question.reply.expect("a request");
    if &*question.subject != ASK_MANY {
        return client.publish(reply, question.payload).await.unwrap();
    }
    for number in 0..10 {
        client.publish(reply.clone(), number.to_string().into()).await.unwrap();
    }
}

/// What a future is made of, and when it is dropped.
pub(crate) struct Stage<R> {
    pub(crate) client: Client,
    pub(crate) company: Client,
    pub(crate) url: String,
    /// 0: before the first poll. 1: after it. 2: when it would be polled a second time. 3: after that, and so on.
    moment: usize,
    polled: Cell<bool>,
    finished: Cell<bool>,
    ends: Cell<bool>,
    /// Replies that come to subscriptions which are for one request alone.
    own_inbox: Cell<bool>,
    /// Where nobody listens.
    _port: ReservedPort,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Rt> Stage<R> {
    pub(crate) async fn new<S>(
        env: &Env<R, S>,
        company: &Company,
        url: &str,
        circumstance: Circumstance,
        moment: usize,
    ) -> Self {
        let port = ReservedPort::new();
        let options = env
            .options()
            .reconnect_wait(Duration::from_millis(5))
            .pending_limit(1_000)
            .request_timeout(None)
            .flush_timeout(FOR_EVER)
            .drain_timeout(FOR_EVER);
        let client = match circumstance {
            Circumstance::Connected => options.connect(url).await.unwrap(),
            Circumstance::Away => {
                let nowhere = format!("127.0.0.1:{}", port.port());
                let client = options.retry_on_initial_connect().connect(nowhere).await.unwrap();
                client.publish("table.filler", vec![b'x'; 1_000 - LARGE].into()).await.unwrap();
                let (away, url) = (client.clone(), url.to_owned());
                R::spawn(async move {
                    R::sleep(Duration::from_millis(5)).await;
                    // It may have been closed meanwhile.
                    let _ = away.set_server_pool(url).await;
                });
                client
            }
        };
        Self {
            client,
            company: company.client.clone(),
            url: url.to_owned(),
            moment,
            polled: Cell::new(false),
            finished: Cell::new(false),
            ends: Cell::new(false),
            own_inbox: Cell::new(false),
            _port: port,
            runtime: PhantomData,
        }
    }

    /// A payload for which a client that is away has no room.
    pub(crate) fn payload(&self) -> bytes::Bytes {
        vec![b'y'; LARGE].into()
    }

    /// A request for which it has none either, with a reply to a subscription of its own if `own_inbox`.
    pub(crate) fn request(&self, own_inbox: bool) -> Request {
        let request = Request::new().payload(self.payload());
        match own_inbox {
            true => request.inbox(self.inbox()),
            false => request,
        }
    }

    fn inbox(&self) -> String {
        self.own_inbox.set(true);
        self.client.new_inbox()
    }

    /// Says that the replies to what is published come to subscriptions that must be gone afterwards.
    pub(crate) fn has_own_inbox(&self) {
        self.own_inbox.set(true);
    }

    /// Drops `future` when it is time to. Gives its output if that comes before.
    pub(crate) async fn cut<F: Future>(&self, future: F) -> Option<F::Output> {
        let allowed = self.moment.div_ceil(2);
        let at_once = !self.moment.is_multiple_of(2);
        let mut polls = 0;
        let mut future = pin!(future);
        poll_fn(|cx| {
            if polls == allowed {
                return Poll::Ready(None);
            }
            polls += 1;
            self.polled.set(true);
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => {
                    self.finished.set(true);
                    Poll::Ready(Some(output))
                }
                Poll::Pending if at_once && polls == allowed => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Like [`cut`](Self::cut), for what must succeed if it comes to its end.
    pub(crate) async fn ok<T, E: Debug>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        self.cut(future).await.map(|result| result.expect("it succeeds"))
    }

    /// Like [`cut`](Self::cut), for what ends the client from its first poll on.
    pub(crate) async fn ending<F: Future>(&self, future: F) -> Option<F::Output> {
        let output = self.cut(future).await;
        if self.polled.get() {
            self.ends.set(true);
        }
        output
    }

    /// Says that the client ends, whether the future is polled or not.
    pub(crate) fn ends(&self) {
        self.ends.set(true);
    }

    /// What was `cut` off from a stream that has at least `count` items, and what came after it.
    pub(crate) async fn items<T>(
        &self,
        stream: &mut (impl futures_util::Stream<Item = T> + Unpin),
        count: usize,
    ) -> Vec<T> {
        let first = self.cut(stream.next()).await;
        let mut items: Vec<T> = first.into_iter().flatten().collect();
        while items.len() < count {
            items.extend(stream.next().await);
        }
        items
    }

    /// Nothing is lost, leaked or mismatched. Says whether the future came to its end.
    pub(crate) async fn check(self, company: &mut Company) -> bool {
        let client = &self.client;
        let mut own = 0;
        let mut seen = Vec::new();
        if !self.ends.get() {
            until::<R>("the connection", || client.delivery_statistics().connects > 0).await;
            // What was published is out, and nothing waits behind it.
            client.flush().await.unwrap();
            seen = company.seen().await;
            own += self.works(company).await;
            own += self.subscriptions_are_gone(&seen).await;
            // Requests that nobody waits for any more would hold this up.
            let remainder = client.drain_within(FOR_EVER).await.unwrap();
            assert!(remainder.is_empty(), "{remainder:?}");
        }
        client.closed().await;
        seen.extend(company.seen().await);
        let statistics = client.delivery_statistics();
        // Without a connection, closing gives up what is kept, and says so.
        let dropped = if self.ends.get() { statistics.dropped } else { 0 };
        assert_eq!(statistics.published, statistics.confirmed + dropped, "{statistics:?}");
        assert_eq!(statistics.confirmed, seen.len() as u64 + own, "{statistics:?}");
        self.finished.get()
    }

    /// A request gets its own reply, and a subscription its own message. Gives the number of publishes.
    async fn works(&self, company: &Company) -> u64 {
        let question = format!("question at {}", self.moment);
        let reply = self.client.request("check.echo", question.clone().into()).await.unwrap();
        assert_eq!(text(&reply), question);
        let mut mine = self.client.subscription("check.mine").confirmed().await.unwrap();
        company.client.publish("check.mine", "yours".into()).await.unwrap();
        assert_eq!(text(&next(&mut mine).await), "yours");
        1
    }

    /// The server knows of none of them. Gives the number of publishes.
    async fn subscriptions_are_gone(&self, seen: &[Message]) -> u64 {
        let mut subjects = vec![SUBSCRIBED.into()];
        if self.own_inbox.get() {
            subjects.extend(seen.iter().filter_map(|message| message.reply.clone()));
        }
        for subject in &subjects {
            let error = self.client.request(subject, "".into()).await.unwrap_err();
            assert_eq!(error.kind(), RequestErrorKind::NoResponders, "{subject}");
        }
        subjects.len() as u64
    }
}

/// Runs `act` for every moment at which a future can be dropped, up to the one at which it comes to its end first.
pub(crate) async fn at_every_moment<R: Rt, S>(
    env: &Env<R, S>,
    company: &mut Company,
    url: &str,
    name: &str,
    act: impl for<'a> Fn(&'a Stage<R>) -> futures_util::future::LocalBoxFuture<'a, ()>,
) {
    /// More polls than this are an endless loop.
    const MOST: usize = 100;
    for circumstance in [Circumstance::Connected, Circumstance::Away] {
        let mut moment = 0;
        let what = |moment| format!("{name}, {circumstance:?}, at moment {moment}");
        loop {
            assert!(moment < MOST, "no end: {}", what(moment));
            let whole = async {
                let stage = Stage::new(env, company, url, circumstance, moment).await;
                act(&stage).await;
                stage.check(company).await
            };
            if within::<R, _>(&what(moment), whole).await {
                break;
            }
            moment += 1;
        }
    }
}
