//! A bad network: a TCP proxy before a server, whose faults are switched while it runs.
//!
//! | fault | what the two ends see |
//! |---|---|
//! | latency | every byte comes later, in order |
//! | bandwidth | bytes come no faster |
//! | slices | bytes come in small pieces of random size |
//! | stall | nothing comes, and nothing says why: the link is half open; what was held back comes when it ends |
//! | burial | the same for the links that stand, while new ones are as good as ever |
//! | cut | the link ends, by a reset or in order, at once or after so many bytes, in the middle of a message |
//! | refusal | no new link is taken; standing ones are left alone |
//!
//! Latency to cuts are set for each direction, for all links or for those of one client, by the name that it gives
//! itself. The proxy has a thread of its own, so a test may block.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::random::Random;

/// What is read at once.
const CHUNK_BYTES_MAX: usize = 16 << 10;
/// Chunks under way in one direction: with a latency of 50 ms still 5 MB/s.
const CHUNKS_MAX: usize = 16;
/// What the proxy holds back is little, so that a server feels a slow link and a cut loses what was sent.
const SOCKET_BYTES: u32 = 64 << 10;
/// Pieces a second of a slow link.
const PACE: u64 = 100;
/// A client's first line names it.
const GREETING_BYTES_MAX: usize = 4 << 10;

/// What happens to bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    pub latency: Duration,
    pub bytes_per_second: Option<u64>,
    /// Pieces of 1 to this many bytes.
    pub slice_bytes_max: Option<u64>,
    pub stalled: bool,
}

/// What happens to bytes of a link; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub to_server: Way,
    pub to_client: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// How a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What is under way is lost (RST).
    Reset,
    /// In order (FIN).
    Close,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub links: u64,
    pub resets: u64,
    pub closes: u64,
    /// Of the cuts those in mid-stream, after so many bytes.
    pub cuts_in_stream: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    /// Bytes that waited for the end of a stall.
    pub bytes_stalled: u64,
    pub bytes_delayed: u64,
    pub slices: u64,
}

/// A proxy before one server; its links end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    control: Arc<Control>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Way {
    pub const STALLED: Self = Self {
        latency: Duration::ZERO,
        bytes_per_second: None,
        slice_bytes_max: None,
        stalled: true,
    };
}

impl Fault {
    /// The same in both directions.
    pub fn both(way: Way) -> Self {
        Self { to_server: way, to_client: way }
    }

    pub fn to_client(way: Way) -> Self {
        Self { to_client: way, ..Self::default() }
    }

    pub fn to_server(way: Way) -> Self {
        Self { to_server: way, ..Self::default() }
    }

    /// A half-open link: sockets stay, bytes do not pass.
    pub fn stalled() -> Self {
        Self::both(Way::STALLED)
    }
}

impl Proxy {
    /// Before a server by its URL, without any fault.
    pub fn start(upstream: &str) -> Self {
        Self::seeded(upstream, crate::random::new_seed())
    }

    /// Slices are of the same sizes for the same seed and bytes.
    pub fn seeded(upstream: &str, seed: u64) -> Self {
        let upstream = upstream.trim_start_matches("nats://").parse().unwrap();
        let control = Arc::new(Control {
            upstream,
            state: watch::Sender::new(State::default()),
            cuts: Mutex::default(),
            random: Mutex::new(Random::seeded(seed)),
            tally: Tally::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let entered = runtime.enter();
        // Bound and not listening: it keeps the port while links are refused.
        let place = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = place.local_addr().unwrap();
        let first = listen(address);
        drop(entered);
        let run = {
            let control = Arc::clone(&control);
            move || runtime.block_on(control.run(&place, first))
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(run).unwrap();
        Self { address, control, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// For every link that has no fault of its own.
    pub fn set(&self, fault: Fault) {
        self.change(|state| state.all = fault);
    }

    /// For the links of one client, by the name in its greeting; `None`: the same as for all.
    pub fn set_client(&self, name: &str, fault: Option<Fault>) {
        self.change(|state| {
            state.clients.retain(|(client, _)| client != name);
            state.clients.extend(fault.map(|fault| (name.to_owned(), fault)));
        });
    }

    /// Takes new links, or refuses them.
    pub fn refuse(&self, refuse: bool) {
        self.change(|state| state.refuse = refuse);
    }

    /// Ends every link that stands.
    pub fn cut_all(&self, cut: Cut) {
        self.change(|state| state.cut_all = (state.cut_all.0 + 1, cut));
    }

    pub fn reset_all(&self) {
        self.cut_all(Cut::Reset);
    }

    /// Ends the link over which the last of so many bytes goes, right behind it; once.
    pub fn cut_after(&self, direction: Direction, bytes: u64, cut: Cut) {
        self.control.cuts()[direction as usize] = Some((bytes, cut));
    }

    /// Stalls the links that stand, and no later one.
    pub fn bury(&self) {
        let links = self.control.tally.links.load(Ordering::Relaxed);
        self.change(|state| state.buried = links);
    }

    /// As good a network as at the start.
    pub fn mend(&self) {
        *self.control.cuts() = [None; 2];
        self.change(|state| {
            *state = State { cut_all: state.cut_all, ..State::default() };
        });
    }

    pub fn counts(&self) -> Counts {
        self.control.tally.counts()
    }

    /// How many links stand.
    pub fn standing(&self) -> u64 {
        self.control.tally.standing.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.control.state.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| state.ended = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a test switches and the links follow.
#[derive(Clone, Debug)]
struct State {
    all: Fault,
    clients: Vec<(String, Fault)>,
    refuse: bool,
    /// The links up to this number are stalled.
    buried: u64,
    /// The number of the last order to cut every link.
    cut_all: (u64, Cut),
    ended: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            all: Fault::default(),
            clients: Vec::new(),
            refuse: false,
            buried: 0,
            cut_all: (0, Cut::Reset),
            ended: false,
        }
    }
}

impl State {
    fn way(&self, link: u64, client: Option<&str>, direction: Direction) -> Way {
        if link <= self.buried {
            return Way::STALLED;
        }
        let own = self.clients.iter().find(|(name, _)| Some(name.as_str()) == client);
        let fault = own.map_or(self.all, |(_, fault)| *fault);
        match direction {
            Direction::ToServer => fault.to_server,
            Direction::ToClient => fault.to_client,
        }
    }
}

struct Control {
    upstream: SocketAddr,
    state: watch::Sender<State>,
    /// By direction: after how many bytes a link is cut, and how.
    cuts: Mutex<[Option<(u64, Cut)>; 2]>,
    random: Mutex<Random>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    standing: AtomicU64,
    links: AtomicU64,
    resets: AtomicU64,
    closes: AtomicU64,
    cuts_in_stream: AtomicU64,
    /// By direction.
    bytes: [AtomicU64; 2],
    stalled: AtomicU64,
    delayed: AtomicU64,
    slices: AtomicU64,
}

impl Tally {
    fn counts(&self) -> Counts {
        let [to_server, to_client] = &self.bytes;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            links: get(&self.links),
            resets: get(&self.resets),
            closes: get(&self.closes),
            cuts_in_stream: get(&self.cuts_in_stream),
            bytes_to_server: get(to_server),
            bytes_to_client: get(to_client),
            bytes_stalled: get(&self.stalled),
            bytes_delayed: get(&self.delayed),
            slices: get(&self.slices),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

impl Control {
    fn cuts(&self) -> MutexGuard<'_, [Option<(u64, Cut)>; 2]> {
        self.cuts.lock().unwrap()
    }

    async fn run(self: Arc<Self>, place: &TcpSocket, first: TcpListener) {
        let mut ended = self.state.subscribe();
        tokio::select! {
            _ = ended.wait_for(|state| state.ended) => {}
            () = Arc::clone(&self).accept(place.local_addr().unwrap(), first) => {}
        }
    }

    /// Takes links for as long as that is allowed, again and again.
    async fn accept(self: Arc<Self>, address: SocketAddr, mut listener: TcpListener) {
        let mut state = self.state.subscribe();
        let mut links = JoinSet::new();
        loop {
            let refuse = state.wait_for(|state| state.refuse);
            let taken = async {
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    links.spawn(Arc::clone(&self).link(client));
                    while links.try_join_next().is_some() {}
                }
            };
            tokio::select! {
                _ = refuse => {}
                () = taken => {}
            }
            // Its backlog ends with it: until there is the next one the system refuses what comes.
            drop(listener);
            let _ = state.wait_for(|state| !state.refuse).await;
            listener = listen(address);
        }
    }

    /// One link from its beginning to its end.
    async fn link(self: Arc<Self>, client: TcpStream) {
        let number = self.tally.links.fetch_add(1, Ordering::Relaxed) + 1;
        add(&self.tally.standing, 1);
        let (cut, server) =
            match socket(SocketAddr::from(([127, 0, 0, 1], 0))).connect(self.upstream).await {
                Ok(server) => (self.pass(number, &client, &server).await, Some(server)),
                // A server that is away refuses, and so does what stands before it.
                Err(_) => (Cut::Reset, None),
            };
        if cut == Cut::Reset {
            for stream in [Some(&client), server.as_ref()].into_iter().flatten() {
                let _ = stream.set_zero_linger();
            }
        }
        self.tally.standing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Passes bytes on until one end is gone or the link is cut.
    async fn pass(&self, number: u64, client: &TcpStream, server: &TcpStream) -> Cut {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let name = OnceLock::new();
        let lane =
            |from, to, direction| Lane { control: self, number, name: &name, from, to, direction };
        let cut_all = async {
            let mut state = self.state.subscribe();
            let last = state.borrow_and_update().cut_all.0;
            let cut = state.wait_for(|state| state.cut_all.0 != last).await.unwrap().cut_all.1;
            add(if cut == Cut::Reset { &self.tally.resets } else { &self.tally.closes }, 1);
            cut
        };
        tokio::select! {
            biased;
            cut = cut_all => cut,
            cut = lane(client, server, Direction::ToServer).run() => cut,
            cut = lane(server, client, Direction::ToClient).run() => cut,
        }
    }
}

/// One direction of one link.
struct Lane<'a> {
    control: &'a Control,
    number: u64,
    /// The client's, once it has said it.
    name: &'a OnceLock<String>,
    from: &'a TcpStream,
    to: &'a TcpStream,
    direction: Direction,
}

impl Lane<'_> {
    async fn run(self) -> Cut {
        let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
        let read = async {
            self.read(sender).await;
            // What was read is still passed on.
            std::future::pending().await
        };
        tokio::select! {
            cut = self.write(receiver) => cut,
            cut = read => cut,
        }
    }

    async fn read(&self, sender: mpsc::Sender<(Instant, Vec<u8>)>) {
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        let mut greeting = Vec::new();
        while self.from.readable().await.is_ok() {
            match self.from.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    let bytes = &buffer[..count];
                    if self.direction == Direction::ToServer {
                        self.listen_for_the_name(&mut greeting, bytes);
                    }
                    if sender.send((Instant::now(), bytes.to_vec())).await.is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Looks for `"name":"..."` in what the client says first.
    fn listen_for_the_name(&self, greeting: &mut Vec<u8>, bytes: &[u8]) {
        const NAME: &str = "\"name\":\"";
        if self.name.get().is_some() || greeting.len() > GREETING_BYTES_MAX {
            return;
        }
        greeting.extend_from_slice(bytes);
        let said = String::from_utf8_lossy(greeting);
        if let Some((_, rest)) = said.split_once(NAME)
            && let Some((name, _)) = rest.split_once('"')
        {
            let _ = self.name.set(name.to_owned());
        }
    }

    /// Passes on what was read, as the faults of the moment allow.
    async fn write(&self, mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>) -> Cut {
        let tally = &self.control.tally;
        let mut state = self.control.state.subscribe();
        let mut free_at = Instant::now();
        while let Some((arrived, chunk)) = chunks.recv().await {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let way = self.passable(&mut state, arrived, rest.len()).await;
                let size = self.piece(way, rest.len());
                let (piece, cut) = self.cut(&rest[..size]);
                add(&tally.bytes[self.direction as usize], piece.len() as u64);
                if !self.put(piece).await {
                    return Cut::Close;
                }
                if let Some(cut) = cut {
                    return cut;
                }
                rest = &rest[piece.len()..];
                if let Some(bytes_per_second) = way.bytes_per_second {
                    let takes =
                        Duration::from_secs_f64(piece.len() as f64 / bytes_per_second as f64);
                    free_at = free_at.max(Instant::now()) + takes;
                    sleep_until(free_at).await;
                }
            }
        }
        Cut::Close
    }

    /// Waits for the bytes' time and for the end of a stall; returns what else the fault is then.
    async fn passable(
        &self,
        state: &mut watch::Receiver<State>,
        arrived: Instant,
        bytes: usize,
    ) -> Way {
        let tally = &self.control.tally;
        let name = || self.name.get().map(String::as_str);
        let way = |state: &State| state.way(self.number, name(), self.direction);
        let latency = way(&state.borrow_and_update()).latency;
        if !latency.is_zero() {
            add(&tally.delayed, bytes as u64);
            sleep_until(arrived + latency).await;
        }
        if way(&state.borrow_and_update()).stalled {
            add(&tally.stalled, bytes as u64);
        }
        let passable = state.wait_for(|state| !way(state).stalled).await;
        passable.map_or(Way::default(), |state| way(&state))
    }

    /// How many bytes go at once.
    fn piece(&self, way: Way, bytes: usize) -> usize {
        let mut size = bytes as u64;
        if let Some(bytes_per_second) = way.bytes_per_second {
            size = size.min(bytes_per_second / PACE);
        }
        if let Some(slice_bytes_max) = way.slice_bytes_max {
            add(&self.control.tally.slices, 1);
            size = size.min(self.control.random.lock().unwrap().within(1..=slice_bytes_max));
        }
        size.max(1) as usize
    }

    /// What of a piece lies before the cut that was ordered, and the cut.
    fn cut<'a>(&self, piece: &'a [u8]) -> (&'a [u8], Option<Cut>) {
        let tally = &self.control.tally;
        let ordered = &mut self.control.cuts()[self.direction as usize];
        match ordered {
            Some((left, cut)) if *left <= piece.len() as u64 => {
                let (piece, cut) = (&piece[..*left as usize], *cut);
                *ordered = None;
                add(&tally.cuts_in_stream, 1);
                add(if cut == Cut::Reset { &tally.resets } else { &tally.closes }, 1);
                (piece, Some(cut))
            }
            Some((left, _)) => {
                *left -= piece.len() as u64;
                (piece, None)
            }
            None => (piece, None),
        }
    }

    async fn put(&self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            if self.to.writable().await.is_err() {
                return false;
            }
            match self.to.try_write(piece) {
                Ok(count) => piece = &piece[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// A bound socket with small buffers.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    socket(address).listen(64).unwrap()
}

mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::{Cut, Direction, Fault, Proxy, Way};
    use crate::wait;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// A server that sends back what it is sent.
    fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut link in listener.incoming().map(Result::unwrap) {
                std::thread::spawn(move || {
                    let mut writer = link.try_clone().unwrap();
                    let _ = std::io::copy(&mut link, &mut writer);
                    let _ = writer.shutdown(Shutdown::Write);
                });
            }
        });
        url
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let link = TcpStream::connect(proxy.address).unwrap();
        link.set_read_timeout(Some(DEADLINE)).unwrap();
        link
    }

    /// Sends and takes back what comes, up to the end of the link.
    fn exchange(mut link: TcpStream, bytes: &[u8]) -> (Vec<u8>, Option<ErrorKind>) {
        let mut writer = link.try_clone().unwrap();
        let sent = bytes.to_vec();
        let writing = std::thread::spawn(move || {
            let _ = writer.write_all(&sent);
        });
        let mut back = vec![0; bytes.len()];
        let (mut count, mut error) = (0, None);
        while count < back.len() && error.is_none() {
            match link.read(&mut back[count..]) {
                Ok(0) => error = Some(ErrorKind::UnexpectedEof),
                Ok(more) => count += more,
                Err(found) => error = Some(found.kind()),
            }
        }
        let _ = link.shutdown(Shutdown::Both);
        writing.join().unwrap();
        back.truncate(count);
        (back, error)
    }

    #[test]
    fn bytes_pass_unchanged_slow_late_and_in_pieces() {
        let proxy = Proxy::start(&echo());
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let way = |bytes_per_second, slice_bytes_max| Way {
            latency: Duration::from_millis(20),
            bytes_per_second,
            slice_bytes_max,
            stalled: false,
        };
        for fault in [
            Fault::default(),
            Fault::both(way(None, Some(1_000))),
            Fault::to_client(way(Some(4_000_000), None)),
        ] {
            proxy.set(fault);
            let begun = Instant::now();
            assert!(exchange(connect(&proxy), &bytes) == (bytes.clone(), None), "{fault:?}");
            let least = Duration::from_millis(match fault {
                fault if fault == Fault::default() => 0,
                fault if fault.to_client.bytes_per_second.is_none() => 40,
                _ => 200,
            });
            assert!(begun.elapsed() >= least, "{fault:?}: {:?}", begun.elapsed());
        }
        let counts = proxy.counts();
        assert_eq!((counts.bytes_to_server, counts.bytes_to_client), (2_400_000, 2_400_000));
        assert!(counts.slices > 1_600 && counts.bytes_delayed >= 2_400_000, "{counts:?}");
    }

    #[test]
    fn a_stalled_link_stays_and_gives_everything_later() {
        let proxy = Proxy::start(&echo());
        let mut link = connect(&proxy);
        link.write_all(b"PING").unwrap();
        let mut four = [0; 4];
        link.read_exact(&mut four).unwrap();
        proxy.set(Fault::to_client(Way::STALLED));
        link.write_all(b"held").unwrap();
        wait::until("held bytes", DEADLINE, || (proxy.counts().bytes_stalled > 0).then_some(()));
        link.set_nonblocking(true).unwrap();
        assert_eq!(link.read(&mut four).unwrap_err().kind(), ErrorKind::WouldBlock);
        link.set_nonblocking(false).unwrap();
        proxy.mend();
        link.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"held");
        assert_eq!(proxy.standing(), 1);

        // A buried one stays dead beside those that come later.
        proxy.bury();
        link.write_all(b"held").unwrap();
        let mut later = connect(&proxy);
        later.write_all(b"PING").unwrap();
        later.read_exact(&mut four).unwrap();
        link.set_nonblocking(true).unwrap();
        assert_eq!(link.read(&mut four).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn one_client_may_have_a_fault_of_its_own() {
        let proxy = Proxy::start(&echo());
        proxy.set_client("reader", Some(Fault::stalled()));
        let [mut reader, mut other] = [connect(&proxy), connect(&proxy)];
        reader.write_all(b"CONNECT {\"name\":\"reader\"}").unwrap();
        other.write_all(b"CONNECT {\"name\":\"other\"} ").unwrap();
        let mut back = [0; 25];
        other.read_exact(&mut back).unwrap();
        wait::until("held bytes", DEADLINE, || (proxy.counts().bytes_stalled == 25).then_some(()));
        proxy.set_client("reader", None);
        reader.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"CONNECT {\"name\":\"reader\"}");
    }

    #[test]
    fn a_cut_falls_on_its_byte_and_a_refusal_on_the_next_link() {
        let proxy = Proxy::start(&echo());
        for (cut, expected) in
            [(Cut::Close, ErrorKind::UnexpectedEof), (Cut::Reset, ErrorKind::ConnectionReset)]
        {
            proxy.cut_after(Direction::ToServer, 70_000, cut);
            let (back, error) = exchange(connect(&proxy), &[7; 100_000]);
            // What the link still carried when it was cut is gone.
            assert!(back.len() <= 70_000 && error.is_some(), "{cut:?}: {}", back.len());
            let mut standing = connect(&proxy);
            standing.write_all(b"PING").unwrap();
            standing.read_exact(&mut [0; 4]).unwrap();
            proxy.cut_all(cut);
            let ended = standing
                .read(&mut [0; 1])
                .map_or_else(|error| error.kind(), |_| ErrorKind::UnexpectedEof);
            assert_eq!(ended, expected);
        }
        wait::until_eq("standing links", DEADLINE, &0, || proxy.standing());

        let mut standing = connect(&proxy);
        let mut ping = || {
            standing.write_all(b"PING").unwrap();
            standing.read_exact(&mut [0; 4]).unwrap();
        };
        ping();
        proxy.refuse(true);
        wait::until("the refusal", DEADLINE, || {
            let refused = TcpStream::connect(proxy.address).err()?;
            (refused.kind() == ErrorKind::ConnectionRefused).then_some(())
        });
        ping();
        proxy.refuse(false);
        wait::until("a new link", DEADLINE, || TcpStream::connect(proxy.address).ok());
        let counts = proxy.counts();
        assert_eq!((counts.cuts_in_stream, counts.resets, counts.closes), (2, 2, 2), "{counts:?}");
    }
}
