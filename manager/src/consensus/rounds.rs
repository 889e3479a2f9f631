//! One question for all who ask it: a round serves everybody who came before it began.

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::future::Shared;
use parking_lot::Mutex;
use std::sync::Arc;

type Round<T> = Shared<BoxFuture<'static, T>>;

/// Rounds of one question, one after another.
pub(super) struct Rounds<T: Clone> {
    state: Arc<Mutex<State<T>>>,
}

struct State<T: Clone> {
    /// Begun, perhaps over. Who comes now may not join it: what it asks for may be older.
    begun: Option<Round<T>>,
    /// Not begun.
    next: Option<Round<T>>,
}

impl<T: Clone> Default for Rounds<T> {
    fn default() -> Self {
        let state = State {
            begun: None,
            next: None,
        };
        Rounds {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Rounds<T> {
    /// The answer of a round that begins after this call. `ask` is called if nobody else has asked
    /// for it yet. Whoever waits for a round drives it, so it goes on when the first goes away.
    pub(super) async fn join<F>(&self, ask: impl FnOnce() -> F + Send + 'static) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let round = {
            let mut state = self.state.lock();
            match &state.next {
                Some(next) => next.clone(),
                None => {
                    let round = round(self.state.clone(), state.begun.clone(), ask);
                    state.next = Some(round.clone());
                    round
                }
            }
        };
        round.await
    }
}

fn round<T, F>(
    state: Arc<Mutex<State<T>>>,
    last: Option<Round<T>>,
    ask: impl FnOnce() -> F + Send + 'static,
) -> Round<T>
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    async move {
        if let Some(last) = last {
            last.await;
        }
        {
            let mut state = state.lock();
            state.begun = state.next.take();
        }
        ask().await
    }
    .boxed()
    .shared()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    use tokio::sync::Semaphore;

    struct Oracle {
        asked: AtomicU32,
        open: Semaphore,
    }

    fn oracle() -> Arc<Oracle> {
        Arc::new(Oracle {
            asked: AtomicU32::new(0),
            open: Semaphore::new(0),
        })
    }

    async fn ask(oracle: Arc<Oracle>) -> u32 {
        let number = oracle.asked.fetch_add(1, Ordering::SeqCst) + 1;
        oracle.open.acquire().await.unwrap().forget();
        number
    }

    fn join(rounds: &Rounds<u32>, oracle: &Arc<Oracle>) -> impl Future<Output = u32> {
        let oracle = oracle.clone();
        rounds.join(move || ask(oracle))
    }

    #[tokio::test]
    async fn who_comes_during_a_round_is_served_by_the_next_and_all_by_one() {
        let (rounds, oracle) = (Rounds::default(), oracle());
        let mut first = Box::pin(join(&rounds, &oracle));
        assert!(futures::poll!(&mut first).is_pending());
        let mut late: Vec<_> = (0..50).map(|_| Box::pin(join(&rounds, &oracle))).collect();
        for one in &mut late {
            assert!(futures::poll!(one).is_pending());
        }
        assert_eq!(oracle.asked.load(Ordering::SeqCst), 1);
        oracle.open.add_permits(2);
        assert_eq!(first.await, 1);
        assert!(join_all(late).await.into_iter().all(|number| number == 2));
    }

    #[tokio::test]
    async fn a_round_goes_on_when_who_began_it_goes_away() {
        let (rounds, oracle) = (Rounds::default(), oracle());
        let mut first = Box::pin(join(&rounds, &oracle));
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        oracle.open.add_permits(2);
        assert_eq!(
            join(&rounds, &oracle).await,
            2,
            "never the answer of a round begun before"
        );
    }

    #[tokio::test]
    async fn one_after_another_each_asks_anew() {
        let (rounds, oracle) = (Rounds::default(), oracle());
        oracle.open.add_permits(3);
        for number in 1..=3 {
            assert_eq!(join(&rounds, &oracle).await, number);
        }
    }
}
