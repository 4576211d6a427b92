//! The server under attack, as a process, with an honest pair on it; and the line about how it went.

use std::{net::SocketAddr, time::Duration};

use super::{
    Attack,
    honest::{Honest, Latencies},
    kit::{DEADLINE, http_get, process::Process},
};

/// Between two looks at what cannot be waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const CONNECTIONS: &str = "patchcord_connections";
/// USER_HZ, which is the same on every Linux that anybody runs.
const TICKS_PER_SECOND: u64 = 100;

/// Whether attacks are to be large.
pub fn is_long() -> bool {
    std::env::var_os("PATCHCORD_LONG").is_some_and(|long| long != "0" && !long.is_empty())
}

/// What is attacked.
pub struct Target {
    pub process: Process,
    pub public: SocketAddr,
    before: Cost,
    is_long: bool,
}

/// What the server has used up so far.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    resident_kib: u64,
}

/// Runs one attack on a server of its own; panics when the outcome is wrong.
pub fn run(name: &str, flags: &[&str], attack: Attack) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let is_long = is_long();
        let log_level = ["--log-level", "warn,patchcord_server::listener=info"];
        let process = Process::start(&[&log_level, flags].concat()).await;
        let honest = Honest::start(process.public);
        let baseline = honest.measure(Duration::from_millis(if is_long { 6_000 } else { 300 })).await;
        let public = process.public;
        let before = Cost::of(&process);
        let target = Target { process, public, before, is_long };
        honest.forget();
        let outcome = attack(&target).await;
        let cost = Cost::of(&target.process);
        let peak_kib = target.peak_kib();
        let latencies = honest.stop();
        println!("{}", line(name, &outcome, cost.cpu - before.cpu, peak_kib, [&latencies, &baseline]));
    });
}

fn line(name: &str, outcome: &str, cpu: Duration, peak_kib: u64, latencies: [&Latencies; 2]) -> String {
    let [during, before] = latencies;
    let change = |share| {
        let [now, then] = latencies.map(|latencies| latencies.share(share).as_secs_f64());
        (now / then.max(f64::EPSILON) - 1.0) * 100.0
    };
    format!(
        "{name}: {outcome}; server: {:.2} s CPU, +{:.1} MiB; honest relay p50 {:?} p99 {:?} \
         (before: {:?}, {:?}: {:+.0} %, {:+.0} %)",
        cpu.as_secs_f64(),
        peak_kib as f64 / 1024.0,
        during.share(0.5),
        during.share(0.99),
        before.share(0.5),
        before.share(0.99),
        change(0.5),
        change(0.99),
    )
}

impl Target {
    /// So many, as there is time for.
    pub fn scale<T>(&self, short: T, long: T) -> T {
        if self.is_long { long } else { short }
    }

    /// How long an attack is kept up.
    pub fn time(&self) -> Duration {
        self.scale(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// The most memory that the attack has cost, in KiB.
    pub fn peak_kib(&self) -> u64 {
        status_kib(&self.process, "VmHWM:").saturating_sub(self.before.resident_kib)
    }

    /// Processor time since the attack began.
    pub fn cpu(&self) -> Duration {
        Cost::of(&self.process).cpu - self.before.cpu
    }

    /// Waits until a metric has a value.
    pub async fn until_metric(&self, name: &str, wanted: u64) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let value = self.metric(name).await;
            if value == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{name} is {value} and not {wanted}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until so many connections are open at the public door, without the honest pair's.
    pub async fn until_connections(&self, wanted: u64) {
        // That of the question is a third.
        self.until_metric(CONNECTIONS, wanted + 3).await;
    }

    /// A metric's value, 0 when it is not there yet.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) = http_get(self.process.admin, "/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

impl Cost {
    fn of(process: &Process) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
        // proc_pid_stat(5): utime and stime are the 14th and 15th, the 3rd follows the name in parentheses.
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let cpu = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Self { cpu, resident_kib: status_kib(process, "VmRSS:") }
    }
}

fn status_kib(process: &Process, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    value.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
