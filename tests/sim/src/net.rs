//! The network between managers and agents: in memory, with delays, losses, cuts and deaths.
//!
//! Connections behave like TCP: bytes arrive in order or not at all, a lost packet is a delay, a
//! cut direction keeps its bytes until it is whole again, and the peer of a dead process is told
//! so if a packet can reach it.

mod pipe;

#[cfg(test)]
mod tests;

pub use pipe::Pipe;

use crate::dice::Dice;
use parking_lot::Mutex;
use pipe::Line;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;

/// Where a process is. Managers have the numbers of their log, agents those from 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

/// How long a connection is tried before it counts as failed.
const DIAL: Duration = Duration::from_millis(500);
/// How much later a lost packet arrives, having been sent again.
const RESENT: Duration = Duration::from_millis(200);

/// How packets fare.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The least delay, in milliseconds.
    pub least_ms: u64,
    /// The greatest, in milliseconds.
    pub most_ms: u64,
    /// Packets lost and sent again, of a thousand.
    pub lost: u64,
}

/// A quiet network in one room.
pub const FAIR: Weather = Weather {
    least_ms: 0,
    most_ms: 2,
    lost: 0,
};

/// The network. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Net(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    dice: Dice,
    weather: Weather,
    cut: BTreeSet<(Place, Place)>,
    /// Which life of a process is the living one.
    lives: BTreeMap<Place, u64>,
    listeners: BTreeMap<Place, mpsc::UnboundedSender<io::Result<Pipe>>>,
    lines: Vec<Weak<Line>>,
    packets: u64,
    lost: u64,
}

/// One life of a process: what it may use the network with.
#[derive(Clone, Debug)]
pub struct Life {
    net: Net,
    /// Whose.
    pub place: Place,
    number: u64,
}

impl Net {
    /// A network in fair weather.
    pub fn new(dice: Dice) -> Net {
        Net(Arc::new(Mutex::new(State {
            dice,
            weather: FAIR,
            cut: BTreeSet::new(),
            lives: BTreeMap::new(),
            listeners: BTreeMap::new(),
            lines: Vec::new(),
            packets: 0,
            lost: 0,
        })))
    }

    /// A process begins at a place, where none is.
    pub fn begin(&self, place: Place) -> Life {
        let mut state = self.0.lock();
        let number = state.lives.entry(place).or_insert(0);
        *number += 1;
        Life {
            net: self.clone(),
            place,
            number: *number,
        }
    }

    /// The process at a place dies: nothing of it is heard any more.
    pub fn kill(&self, place: Place) {
        let mut state = self.0.lock();
        *state.lives.entry(place).or_insert(0) += 1;
        state.listeners.remove(&place);
        for line in state.lines() {
            line.die(place);
        }
    }

    /// Nothing gets from one place to another any more.
    pub fn cut(&self, from: Place, to: Place) {
        self.0.lock().cut.insert((from, to));
    }

    /// Every place is reached from everywhere, in fair weather.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.cut.clear();
        state.weather = FAIR;
        for line in state.lines() {
            line.wake();
        }
    }

    /// How packets fare from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.0.lock().weather = weather;
    }

    /// How many packets were sent, and how many of them lost and sent again.
    pub fn packets(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.packets, state.lost)
    }

    fn is_cut(&self, from: Place, to: Place) -> bool {
        self.0.lock().cut.contains(&(from, to))
    }

    /// How long the next packet takes.
    fn delay(&self) -> Duration {
        let mut state = self.0.lock();
        state.packets += 1;
        let Weather {
            least_ms,
            most_ms,
            lost,
        } = state.weather;
        let lost = state.dice.per_mille(lost);
        state.lost += u64::from(lost);
        let delay = state.dice.millis(least_ms, most_ms);
        if lost { delay + RESENT } else { delay }
    }

    fn is_living(&self, life: &Life) -> bool {
        self.0.lock().lives.get(&life.place) == Some(&life.number)
    }

    async fn refuses(&self, from: &Life, to: Place) -> bool {
        sleep(self.delay()).await;
        if !self.is_living(from) || self.is_cut(from.place, to) || self.is_cut(to, from.place) {
            sleep(RESENT).await;
            return false;
        }
        sleep(self.delay()).await;
        !self.0.lock().listeners.contains_key(&to)
    }

    async fn connect(&self, from: &Life, to: Place) -> io::Result<Pipe> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let there = self.delay();
        sleep(there).await;
        if !self.is_living(from) {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        if self.is_cut(from.place, to) || self.is_cut(to, from.place) {
            sleep(DIAL).await;
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        let (near, far, line) = pipe::pair(self.clone(), from.place, to);
        {
            let mut state = self.0.lock();
            let listener = state.listeners.get(&to).ok_or_else(refused)?;
            listener.send(Ok(far)).map_err(|_| refused())?;
            state.lines.push(Arc::downgrade(&line));
        }
        sleep(self.delay()).await;
        Ok(near)
    }
}

impl State {
    fn lines(&mut self) -> Vec<Arc<Line>> {
        self.lines.retain(|line| line.strong_count() > 0);
        self.lines.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Life {
    /// Connections that others open, until this life ends.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<io::Result<Pipe>> {
        let (accept, accepted) = mpsc::unbounded_channel();
        let mut state = self.net.0.lock();
        state.listeners.insert(self.place, accept);
        accepted
    }

    /// Whether a machine says that nobody listens at a place.
    pub async fn refuses(self, to: Place) -> bool {
        self.net.refuses(&self, to).await
    }

    /// A channel to a place, connected when first used.
    pub fn channel(&self, to: Place) -> Channel {
        let life = self.clone();
        let dial = service_fn(move |_| {
            let life = life.clone();
            async move {
                let pipe = life.net.connect(&life, to).await?;
                Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(pipe))
            }
        });
        Endpoint::from_static("http://sim").connect_with_connector_lazy(dial)
    }
}
