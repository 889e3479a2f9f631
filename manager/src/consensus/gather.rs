//! Many commands, one trip: whoever comes while others are under way travels with the next.
//!
//! Nobody waits for company: a command that finds the road free goes at once. So a single caller has
//! the latency of its own command, and under load the trips grow with the number of callers, each
//! trip paying once for what commands would otherwise pay each: a log entry, a sync of the disk, a
//! message to each manager, a new state.

use crate::consensus::attempt::Attempt;
use crate::consensus::attempt::Logged;
use crate::propose::ProposeError;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// Trips under way at once. Two: the next one is gathered and sent while one is on the disks. With
/// more, trips are smaller and the disks sync more often for the same commands.
const UNDER_WAY: usize = 2;
/// Commands of one trip.
const COMMANDS: usize = 512;
/// Bytes of one trip, unless a single command has more: well below what a log entry may have.
const BYTES: usize = 256 << 10;
/// Commands that may wait for the next trip; who comes then waits before it.
const QUEUE: usize = 4096;

struct Waiting {
    command: Vec<u8>,
    answer: oneshot::Sender<Attempt<Logged>>,
}

/// Where commands are handed in.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    queue: mpsc::Sender<Waiting>,
}

/// The other end: makes the trips.
pub(super) struct Trips {
    queue: mpsc::Receiver<Waiting>,
}

/// Both ends.
pub(super) fn gather() -> (Gather, Trips) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Gather { queue: sender }, Trips { queue: receiver })
}

impl Gather {
    /// Sends a command with the next trip. When the caller goes away, the command travels still.
    pub(super) async fn send(&self, command: Vec<u8>) -> Attempt<Logged> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { command, answer };
        let stopping = || Attempt::Never(ProposeError::Stopping);
        if self.queue.send(waiting).await.is_err() {
            return stopping();
        }
        answered.await.unwrap_or_else(|_| stopping())
    }
}

impl Trips {
    /// Makes trips for as long as commands can come. `trip` gives one outcome per command, in
    /// order.
    pub(super) async fn run<F>(mut self, trip: impl Fn(Vec<Vec<u8>>) -> F)
    where
        F: Future<Output = Vec<Attempt<Logged>>>,
    {
        let mut under_way = FuturesUnordered::new();
        // Did not fit into the last trip.
        let mut left: Option<Waiting> = None;
        loop {
            let room = under_way.len() < UNDER_WAY;
            let first = tokio::select! {
                // Answers first: they make room.
                biased;
                Some(()) = under_way.next() => continue,
                first = next(&mut left, &mut self.queue), if room => first,
            };
            let Some(first) = first else {
                // Nobody can send any more; what is under way still has callers.
                while under_way.next().await.is_some() {}
                return;
            };
            let (commands, answers) = self.fill(first, &mut left);
            let outcomes = trip(commands);
            under_way.push(async move {
                for (answer, outcome) in answers.into_iter().zip(outcomes.await) {
                    // A caller that went away wants no answer.
                    drop(answer.send(outcome));
                }
            });
        }
    }

    fn fill(
        &mut self,
        first: Waiting,
        left: &mut Option<Waiting>,
    ) -> (Vec<Vec<u8>>, Vec<oneshot::Sender<Attempt<Logged>>>) {
        let mut bytes = first.command.len();
        let mut commands = vec![first.command];
        let mut answers = vec![first.answer];
        while commands.len() < COMMANDS
            && let Ok(more) = self.queue.try_recv()
        {
            bytes += more.command.len();
            if bytes > BYTES {
                *left = Some(more);
                break;
            }
            commands.push(more.command);
            answers.push(more.answer);
        }
        (commands, answers)
    }
}

async fn next(left: &mut Option<Waiting>, queue: &mut mpsc::Receiver<Waiting>) -> Option<Waiting> {
    match left.take() {
        Some(waiting) => Some(waiting),
        None => queue.recv().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    /// Trips that wait for a permit each, and tell what they carried.
    struct Road {
        gather: Gather,
        open: Arc<Semaphore>,
        trips: Arc<Mutex<Vec<usize>>>,
    }

    fn road() -> Road {
        let (gather, trips) = gather();
        let open = Arc::new(Semaphore::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (gate, log) = (open.clone(), seen.clone());
        let run = trips.run(move |commands| {
            log.lock().push(commands.len());
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                let logged = commands.into_iter().map(|result| {
                    let index = 7;
                    Attempt::Done(Logged { index, result })
                });
                logged.collect()
            }
        });
        tokio::spawn(run);
        Road {
            gather,
            open,
            trips: seen,
        }
    }

    #[tokio::test]
    async fn a_lone_command_goes_at_once_and_those_behind_it_travel_together() {
        let road = road();
        let sends = (0..100u8).map(|n| road.gather.send(vec![n]));
        let opener = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            road.open.add_permits(10);
        };
        let (outcomes, ()) = tokio::join!(join_all(sends), opener);
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let Attempt::Done(logged) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(usize::from(logged.result[0]), n, "each has its own answer");
        }
        let trips = road.trips.lock().clone();
        assert!(trips.len() <= 3, "{trips:?}");
        assert_eq!(trips.iter().sum::<usize>(), 100);
    }

    #[tokio::test]
    async fn a_trip_is_bounded_in_bytes_and_a_large_command_travels_alone() {
        let road = road();
        road.open.add_permits(10);
        let sizes = [BYTES + 1, BYTES / 2, BYTES / 2, BYTES / 2];
        join_all(sizes.map(|size| road.gather.send(vec![0; size]))).await;
        let trips = road.trips.lock().clone();
        assert_eq!(trips, [1, 2, 1]);
    }

    #[tokio::test]
    async fn after_the_end_callers_are_told() {
        let (gather, trips) = gather();
        drop(trips);
        let outcome = gather.send(vec![1]).await;
        assert!(matches!(outcome, Attempt::Never(ProposeError::Stopping)));
    }
}
