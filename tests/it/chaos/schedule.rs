//! What goes wrong in a seed's run, and when: drawn from its numbers before it begins.

use std::time::Duration;

use crate::proxy::{Cut, Direction, Fault, Proxy, Way};
use crate::random::Random;

/// The names that the daemon's connections give themselves.
const CONTROL: &str = "viewd";
const READER: &str = "viewd reader";

/// One trouble: what, on which links, how long, and how long there is none before it.
#[derive(Clone, Debug)]
pub struct Step {
    pub rest: Duration,
    pub trouble: Trouble,
    pub links: Links,
    /// What else happens to bytes meanwhile.
    pub beside: Way,
    pub lasts: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Latency(Duration),
    /// Bytes a second.
    Bandwidth(u64),
    /// Bytes of the largest piece.
    Slices(u64),
    Stall,
    /// The other direction goes on.
    HalfStall(Direction),
    Cut(Cut),
    CutInStream(Direction, u64, Cut),
    /// Every link is reset, and no new one taken.
    Refusal,
    /// Beside it all the daemon is killed, and started again.
    Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    All,
    Reader,
    Control,
}

/// The kinds of trouble, in the order of `Trouble`.
pub const KINDS: [&str; 9] = [
    "latency",
    "bandwidth",
    "slices",
    "stall",
    "half stall",
    "cut",
    "cut in stream",
    "refusal",
    "crash",
];

impl Trouble {
    pub fn kind(self) -> usize {
        match self {
            Self::Latency(_) => 0,
            Self::Bandwidth(_) => 1,
            Self::Slices(_) => 2,
            Self::Stall => 3,
            Self::HalfStall(_) => 4,
            Self::Cut(_) => 5,
            Self::CutInStream(..) => 6,
            Self::Refusal => 7,
            Self::Crash => 8,
        }
    }

    fn draw(random: &mut Random) -> Self {
        let cut = |random: &mut Random| [Cut::Reset, Cut::Close][random.below(2) as usize];
        let direction = |random: &mut Random| {
            [Direction::ToServer, Direction::ToClient][random.below(2) as usize]
        };
        match random.below(8) {
            0 => Self::Latency(random.milliseconds(5..=150)),
            1 => Self::Bandwidth(random.within(20_000..=500_000)),
            2 => Self::Slices(random.within(2..=200)),
            3 => Self::Stall,
            4 => Self::HalfStall(direction(random)),
            5 => Self::Cut(cut(random)),
            6 => match direction(random) {
                // Less goes to the server: pulls, polls, requests.
                Direction::ToServer => {
                    Self::CutInStream(Direction::ToServer, random.within(1..=2_000), cut(random))
                }
                Direction::ToClient => {
                    Self::CutInStream(Direction::ToClient, random.within(1..=300_000), cut(random))
                }
            },
            _ => Self::Refusal,
        }
    }
}

impl Step {
    /// The steps of one seed. A crash is in every other, and only one: several at one checkpoint mean something else.
    pub fn schedule(random: &mut Random) -> Vec<Self> {
        let mut steps: Vec<_> = (0..random.within(8..=12)).map(|_| Self::draw(random)).collect();
        if random.below(2) == 0 {
            let chosen = random.below(steps.len() as u64) as usize;
            steps[chosen].trouble = Trouble::Crash;
        }
        steps
    }

    fn draw(random: &mut Random) -> Self {
        let beside = match random.below(4) {
            0 => Way { latency: random.milliseconds(1..=20), ..Way::default() },
            1 => Way { slice_bytes_max: Some(random.within(100..=5_000)), ..Way::default() },
            _ => Way::default(),
        };
        let links =
            [Links::All, Links::All, Links::Reader, Links::Control][random.below(4) as usize];
        let trouble = Trouble::draw(random);
        let lasts = match trouble {
            // It is over when it has begun.
            Trouble::Cut(_) => random.milliseconds(1..=50),
            // Shorter than two heartbeats, and longer.
            _ => random.milliseconds(50..=1_100),
        };
        Self { rest: random.milliseconds(20..=250), trouble, links, beside, lasts }
    }

    /// Lets it begin, on top of how the network is anyway.
    pub fn begin(&self, proxy: &Proxy, usual: Way) {
        let way = Way {
            latency: self.beside.latency,
            slice_bytes_max: self.beside.slice_bytes_max,
            ..usual
        };
        let fault = match self.trouble {
            Trouble::Latency(latency) => Fault::both(Way { latency, ..way }),
            Trouble::Bandwidth(bytes_per_second) => {
                Fault::both(Way { bytes_per_second: Some(bytes_per_second), ..way })
            }
            Trouble::Slices(bytes) => Fault::both(Way { slice_bytes_max: Some(bytes), ..way }),
            Trouble::Stall => Fault::stalled(),
            Trouble::HalfStall(Direction::ToServer) => {
                Fault { to_client: way, ..Fault::to_server(Way::STALLED) }
            }
            Trouble::HalfStall(Direction::ToClient) => {
                Fault { to_server: way, ..Fault::to_client(Way::STALLED) }
            }
            Trouble::Cut(_) | Trouble::CutInStream(..) | Trouble::Refusal | Trouble::Crash => {
                Fault::both(way)
            }
        };
        match self.links {
            Links::All => proxy.set(fault),
            Links::Reader => proxy.set_client(READER, Some(fault)),
            Links::Control => proxy.set_client(CONTROL, Some(fault)),
        }
        match self.trouble {
            Trouble::Cut(cut) => proxy.cut_all(cut),
            Trouble::CutInStream(direction, bytes, cut) => proxy.cut_after(direction, bytes, cut),
            Trouble::Refusal => {
                proxy.refuse(true);
                proxy.reset_all();
            }
            _ => {}
        }
    }
}
