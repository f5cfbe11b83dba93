//! Counts the system calls of a worker, by stopping it at each of them.
//!
//! A traced worker is slow, so nothing else is measured in such a run. And as calls take longer, more piles up
//! between them: batches are larger, and calls per message fewer, than in a run at full speed. That is the same for
//! every client.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Result;
use crate::job::Job;
use crate::meter::{MARK, MARKS};

/// The role of a process between the bench and the worker: the worker is its only child, so that it may wait for
/// whatever thread or child stops. Takes the worker's arguments and prints the number of system calls.
pub(crate) fn main(mut args: impl Iterator<Item = String>) -> Result<()> {
    let (client, url, job) = (args.next(), args.next(), args.next());
    let mut job: Job = serde_json::from_str(&job.ok_or("no job")?)?;
    job.traced = true;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["worker", &client.ok_or("no client")?, &url.ok_or("no url")?])
        .arg(serde_json::to_string(&job)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let pid = Pid::from_raw(child.id().try_into()?);
    let options =
        Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
    let seized = ptrace::seize(pid, options).and_then(|()| ptrace::interrupt(pid));
    if let Err(error) = seized {
        child.kill()?;
        child.wait()?;
        return Err(format!("the system does not let a process be traced: {error}").into());
    }
    // It has waited with creating its threads until now.
    child.stdin.take().ok_or("no standard input")?.write_all(b"go\n")?;
    let marks = follow(pid)?;
    let [first, start, end] = marks[..] else {
        return Err(format!("{} marks instead of {MARKS}", marks.len()).into());
    };
    println!("{}", (end - start).saturating_sub(start - first));
    Ok(())
}

/// Lets it run from call to call until it ends. Gives the number of calls before each mark.
fn follow(main: Pid) -> Result<Vec<u64>> {
    // A thread stops where a call begins, and again where it ends.
    let mut inside = HashSet::new();
    let mut calls = 0;
    let mut marks = Vec::new();
    loop {
        let any = Pid::from_raw(-1);
        let (pid, deliver) = match waitpid(any, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(pid) => {
                if !inside.remove(&pid) {
                    inside.insert(pid);
                    calls += 1;
                }
                (pid, None)
            }
            WaitStatus::Stopped(pid, MARK) => {
                marks.push(calls);
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            // A new thread, here or at its own first stop.
            WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            WaitStatus::Exited(pid, 0) if pid == main => return Ok(marks),
            status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                if pid == main {
                    return Err(format!("the worker ended: {status:?}").into());
                }
                inside.remove(&pid);
                continue;
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => continue,
        };
        resume(pid, deliver)?;
    }
}

fn resume(pid: Pid, deliver: Option<Signal>) -> Result<()> {
    match ptrace::syscall(pid, deliver) {
        // It was killed while it stood still, by the end of the process.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
