//! Which jobs there are, for whom, and on which server.

use crate::job::{Client, Job, Kind};

/// Where a job's messages go to or come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Sink,
    Flood,
    Nats,
}

/// A job, and who does it in turn.
pub(crate) struct Measurement {
    /// What it has in common with others, which are in the same table of the report.
    pub(crate) section: &'static str,
    /// What is special about it.
    pub(crate) variant: String,
    pub(crate) server: Server,
    pub(crate) job: Job,
    pub(crate) clients: Vec<Client>,
}

impl Measurement {
    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.section, self.variant)
    }
}

/// Measurements whose runs are interleaved as well, so that they can be compared with each other.
pub(crate) type Group = Vec<Measurement>;

use Client::{AsyncNats, AsyncStd, Floor, Tokio, Watermelon};

/// Of each payload: its size, what it is called, and how many of its size take a client a good part of a second to
/// publish.
const PAYLOADS: [(usize, &str, u64); 5] = [
    (16, "16 B", 3_000_000),
    (128, "128 B", 2_000_000),
    (1024, "1 KiB", 600_000),
    (65_536, "64 KiB", 15_000),
    (1_048_576, "1 MiB", 800),
];

/// Everything, or for `quick` the parts that say most, with a tenth of the messages.
pub(crate) fn plan(quick: bool) -> Vec<Group> {
    let mut plan = Plan { groups: Vec::new(), quick };
    plan.matrix("publish to the sink", Server::Sink, Kind::Publish, 1, 1, &[]);
    plan.matrix("publish to nats-server", Server::Nats, Kind::Publish, 1, 2, &[Watermelon]);
    plan.matrix("receive from the flood", Server::Flood, Kind::Receive, 1, 1, &[]);
    plan.matrix("publish + subscribe", Server::Nats, Kind::PubSub, 1, 3, &[]);
    plan.matrix("request, 1 in flight", Server::Nats, Kind::Request, 1, 0, &[Watermelon]);
    plan.matrix("request, 64 in flight", Server::Nats, Kind::Request, 64, 0, &[Watermelon]);
    plan.scaling();
    plan.memory();
    plan.groups
}

struct Plan {
    groups: Vec<Group>,
    quick: bool,
}

impl Plan {
    const fn messages(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// One kind of work with every payload: plain, with headers, and encrypted; `slow` is how many times slower than
    /// publishing to the sink it is.
    fn matrix(
        &mut self,
        section: &'static str,
        server: Server,
        kind: Kind,
        tasks: usize,
        slow: u64,
        more: &[Client],
    ) {
        for (payload, label, full) in PAYLOADS {
            for (extra, headers, tls) in [
                ("", false, false),
                (", header", true, false),
                (", TLS", false, true),
                (", header, TLS", true, true),
            ] {
                // Quickly: small and large ones that are plain, and small ones with a header or encrypted where
                // that is cheap.
                let wanted = match (kind, server) {
                    (Kind::Publish, Server::Sink) | (Kind::Receive, _) => {
                        (payload == 16 && !(headers && tls))
                            || (payload == 65_536 && extra.is_empty())
                    }
                    _ => payload == 16 && extra.is_empty(),
                };
                if self.quick && !wanted {
                    continue;
                }
                let full = match kind {
                    Kind::Request => requests(payload, tasks),
                    // What headers cost is a part of what a small message costs.
                    _ if headers && payload < 65_536 => full / slow / 2,
                    _ => full / slow,
                };
                let mut job = Job::new(kind, payload, self.messages(full).max(100));
                (job.headers, job.tls, job.tasks) = (headers, tls, tasks);
                // Each task has the same share.
                job.messages -= job.messages % tasks as u64;
                job.messages = job.messages.max(tasks as u64);
                let variant = format!("{label}{extra}");
                let mut clients = vec![Tokio, AsyncStd, AsyncNats];
                // It trusts the authorities of the system alone.
                clients.extend(more.iter().filter(|_| !tls));
                // An encrypted stream cannot be written on one thread and read on another.
                clients.extend((!tls || kind != Kind::PubSub).then_some(Floor));
                self.groups.push(vec![Measurement { section, variant, server, job, clients }]);
            }
        }
    }

    /// The same work, divided among more and more tasks and subscriptions.
    fn scaling(&mut self) {
        let clients = || vec![Tokio, AsyncStd, AsyncNats];
        let tasks: &[usize] = if self.quick { &[1, 4, 16] } else { &[1, 2, 4, 8, 16] };
        let group = tasks.iter().map(|&tasks| Measurement {
            section: "publish to the sink from several tasks",
            variant: format!("16 B, {tasks} task{}", if tasks == 1 { "" } else { "s" }),
            server: Server::Sink,
            job: Job { tasks, ..Job::new(Kind::Publish, 16, self.messages(1_600_000)) },
            clients: clients(),
        });
        let tasks = group.collect();
        let counts: &[(usize, usize, &str)] = &[
            (1, 0, "1 subscription"),
            (1, 9_999, "1 subscription beside 9,999 idle ones"),
            (100, 0, "100 subscriptions"),
            (10_000, 0, "10,000 subscriptions"),
        ];
        let group = counts.iter().map(|&(subscriptions, idle_subscriptions, label)| Measurement {
            section: "receive from the flood on several subscriptions",
            variant: format!("16 B, {label}"),
            server: Server::Flood,
            job: Job {
                subscriptions,
                idle_subscriptions,
                // Enough that each of many gets a share worth measuring.
                ..Job::new(Kind::Receive, 16, if self.quick { 200_000 } else { 1_000_000 })
            },
            clients: clients(),
        });
        let subscriptions = group.collect();
        self.groups.extend([tasks, subscriptions]);
    }

    fn memory(&mut self) {
        let everybody = vec![Tokio, AsyncStd, AsyncNats, Watermelon];
        let mut add = |variant: &str, server, job, clients| {
            let variant = variant.to_owned();
            self.groups.push(vec![Measurement {
                section: "memory",
                variant,
                server,
                job,
                clients,
            }]);
        };
        let idle = Job::new(Kind::Idle, 0, 1);
        add("an idle client", Server::Nats, idle, everybody.clone());
        let subscriptions = Job::new(Kind::Subscriptions, 0, 10_000);
        add("one of 10,000 subscriptions", Server::Nats, subscriptions, everybody);
        // Always as many: with fewer, what one of them holds would look like more.
        let kept = Job::new(Kind::Kept, 16, 1_000_000);
        add(
            "a message kept, one of 1,000, 16 B",
            Server::Flood,
            kept,
            vec![Tokio, AsyncStd, AsyncNats],
        );
    }
}

/// How many requests take a good part of a second.
const fn requests(payload: usize, in_flight: usize) -> u64 {
    match (payload, in_flight) {
        (1_048_576.., 1) => 120,
        (65_536.., 1) => 1_200,
        (_, 1) => 3_000,
        (1_048_576.., _) => 256,
        (65_536.., _) => 2_560,
        _ => 40_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_and_subscription_has_the_same_share() {
        for measurement in plan(false).iter().chain(&plan(true)).flatten() {
            let Job { messages, tasks, subscriptions, .. } = measurement.job;
            assert_eq!(messages % tasks as u64, 0, "{}", measurement.name());
            assert_eq!(messages % subscriptions as u64, 0, "{}", measurement.name());
        }
    }

    #[test]
    fn no_two_measurements_have_the_same_name() {
        let mut names: Vec<String> = plan(false).iter().flatten().map(Measurement::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), plan(false).iter().flatten().count());
    }
}
