//! Clients that ask one after the other, and what they saw.

use crate::stats::quantile_of;
use crate::stats::to_f64;
use anyhow::ensure;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tonic::Status;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A durable change of an object of its own.
    Write,
    /// That object, with everything acknowledged before.
    Read,
}

/// One caller with a connection of its own.
pub(crate) trait Client: Send + 'static {
    /// Asks once and waits for the answer.
    fn ask(&mut self, ask: Ask) -> impl Future<Output = Result<(), Status>> + Send;
}

/// What all clients saw together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// How long it was measured.
    pub(crate) time: Duration,
    /// Milliseconds until each answer.
    pub(crate) waits: Vec<f64>,
    /// Processor time that the members used meanwhile, all together.
    pub(crate) cpu: Duration,
    /// Refused or unanswered.
    pub(crate) errors: usize,
    /// The first refusal, for people.
    pub(crate) first_error: Option<String>,
}

impl Seen {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        to_f64(self.waits.len()) / self.time.as_secs_f64()
    }

    /// Microseconds of processor time that the members used for one answer.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / to_f64(self.waits.len())
    }

    /// Milliseconds within which the fraction `q` of all answers came.
    pub(crate) fn wait(&self, q: f64) -> f64 {
        quantile_of(&self.waits, q)
    }

    /// Refuses a measurement in which more than one in a hundred requests failed: fast failures
    /// would pass for a fast service.
    pub(crate) fn checked(self, who: &str) -> anyhow::Result<Seen> {
        let asked = self.waits.len() + self.errors;
        ensure!(
            !self.waits.is_empty() && self.errors * 100 <= asked,
            "{} of {asked} requests to {who} failed, the first one with {:?}",
            self.errors,
            self.first_error
        );
        Ok(self)
    }

    fn take(&mut self, wait: Duration, answer: Result<(), Status>) {
        match answer {
            Ok(()) => self.waits.push(wait.as_secs_f64() * 1e3),
            Err(status) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| status.to_string());
            }
        }
    }

    fn add(&mut self, other: Seen) {
        self.waits.extend(other.waits);
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error = other.first_error;
        }
    }
}

/// Each client asks, waits for the answer, asks again. What is answered within `warm` does not count,
/// nor what is answered after the end; what was asked for before counts, or a service that takes
/// longer than a turn would seem to answer nothing.
pub(crate) async fn closed<C: Client>(
    clients: &mut Vec<C>,
    ask: Ask,
    warm: Duration,
    time: Duration,
) -> Seen {
    let from = Instant::now() + warm;
    let until = from + time;
    gather(clients, time, |mut client| async move {
        let mut seen = Seen::default();
        while Instant::now() < until {
            let start = Instant::now();
            let answer = client.ask(ask).await;
            let end = Instant::now();
            if end >= from && end <= until {
                seen.take(end - start, answer);
            }
        }
        (client, seen)
    })
    .await
}

/// All clients together ask `rate` times a second, at even distances; who is late asks at once. An
/// answer's time counts from when it should have been asked for, so that a stall is seen by all who
/// would have asked during it.
pub(crate) async fn paced<C: Client>(
    clients: &mut Vec<C>,
    ask: Ask,
    rate: f64,
    time: Duration,
) -> Seen {
    let start = Instant::now() + Duration::from_millis(50);
    let until = start + time;
    let turn = Arc::new(AtomicUsize::new(0));
    gather(clients, time, |mut client| {
        let turn = Arc::clone(&turn);
        async move {
            let mut seen = Seen::default();
            loop {
                let mine = to_f64(turn.fetch_add(1, Ordering::Relaxed));
                let due = start + Duration::from_secs_f64(mine / rate);
                if due >= until {
                    return (client, seen);
                }
                sleep_until(due).await;
                let answer = client.ask(ask).await;
                seen.take(due.elapsed(), answer);
            }
        }
    })
    .await
}

/// Runs all clients at once, and returns when the last is done.
async fn gather<C, F>(clients: &mut Vec<C>, time: Duration, work: impl Fn(C) -> F) -> Seen
where
    C: Client,
    F: Future<Output = (C, Seen)> + Send + 'static,
{
    let mut running = JoinSet::new();
    for client in clients.drain(..) {
        running.spawn(work(client));
    }
    let mut all = Seen {
        time,
        ..Seen::default()
    };
    while let Some(done) = running.join_next().await {
        match done {
            Ok((client, seen)) => {
                clients.push(client);
                all.add(seen);
            }
            Err(panic) => {
                all.errors += 1;
                all.first_error.get_or_insert_with(|| panic.to_string());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Slow(Duration);

    impl Client for Slow {
        async fn ask(&mut self, _: Ask) -> Result<(), Status> {
            tokio::time::sleep(self.0).await;
            Ok(())
        }
    }

    struct Broken;

    impl Client for Broken {
        async fn ask(&mut self, _: Ask) -> Result<(), Status> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Err(Status::unavailable("no leader"))
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn closed_clients_answer_as_often_as_their_service_allows() {
        let mut clients = vec![
            Slow(Duration::from_millis(10)),
            Slow(Duration::from_millis(20)),
        ];
        let seen = closed(&mut clients, Ask::Read, Duration::ZERO, SECOND).await;
        assert!((145.0..=150.0).contains(&seen.rate()), "{}", seen.rate());
        assert_eq!(clients.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_of_paced_clients_count_from_when_they_were_due() {
        // Ten a second is what one such client can do; twenty are asked for.
        let mut clients = vec![Slow(Duration::from_millis(100))];
        let seen = paced(&mut clients, Ask::Write, 20.0, SECOND).await;
        assert_eq!(seen.waits.len(), 20);
        assert!(seen.wait(1.0) > 1000.0, "{}", seen.wait(1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_fails_is_not_taken_for_a_fast_one() {
        let seen = closed(&mut vec![Broken], Ask::Write, Duration::ZERO, SECOND).await;
        let error = seen.checked("it").unwrap_err().to_string();
        assert!(error.contains("no leader"), "{error}");
    }
}
