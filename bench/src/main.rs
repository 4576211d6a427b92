//! Benchmarks: each prints its figures and, in the same run, those of something to compare them with.
//! All traffic is on loopback; every run is bounded.

mod bulk;
mod chat;
mod faults;
mod figures;
mod opening;
mod processes;
mod relay;
mod sealed;

use clap::{Parser, Subcommand};

/// Measures what the README quotes. Build everything first: `cargo build --release --workspace`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// From `joined` of a second `patchcord join --json` process to its `channel_open`; beside it the same
    /// between two rooms of one process.
    Open {
        /// Openings, each in a room of its own.
        #[arg(long, default_value_t = 100)]
        runs: usize,
    },
    /// The same of a sealed room beside an open one, the round trips that its exchange adds, and its cost.
    Sealed {
        /// Openings of each, each in a room of its own.
        #[arg(long, default_value_t = 100)]
        runs: usize,
    },
    /// Both sides join with --wait and connect at the same instant; each run must end in one working channel.
    Glare {
        /// Openings, each in a room of its own.
        #[arg(long, default_value_t = 200)]
        runs: usize,
    },
    /// Texts between two `patchcord join --json` processes, all receipted: both ways at once, then one by one.
    Chat {
        /// Texts each way.
        #[arg(long, default_value_t = 1000)]
        texts: usize,
        /// Also between two that may use nothing but coturn (`turnserver` in the path), in turns with the direct pair.
        #[arg(long)]
        relay: bool,
    },
    /// Much data over one data channel between two connections of this process; beside it the same messages over
    /// bare TCP and datagrams of the same size over bare UDP.
    Bulk {
        /// MiB a run.
        #[arg(long, default_value_t = 256)]
        mebibytes: usize,
        /// Connections for each message size.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// An offer through the server, from one stream to the other; beside it the same bytes over bare TCP.
    Relay {
        /// Offers, one after the other; more than a connection may send at once are measured at the rate that it may send at.
        #[arg(long, default_value_t = 900)]
        offers: usize,
    },
    /// Peers that write to each other through the server while connections are cut and processes stopped and
    /// killed; ends with 1 when a message is lost, doubled or out of order, or rosters do not agree again.
    Faults(faults::Arguments),
    /// A process of `faults`.
    #[command(hide = true)]
    FaultsPeer(faults::PeerArguments),
    /// Many sessions that are cut all at once, and how long it takes until all are resumed.
    Storm {
        /// Sessions, each on a connection of its own: three open files here and one at the server.
        #[arg(long, default_value_t = 5000)]
        sessions: usize,
        /// Cuts, one after the other.
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().benchmark {
        Benchmark::Open { runs } => opening::open(runs).await,
        Benchmark::Sealed { runs } => sealed::sealed(runs).await,
        Benchmark::Glare { runs } => opening::glare(runs).await,
        Benchmark::Chat { texts, relay } => chat::chat(texts, relay).await,
        Benchmark::Bulk { mebibytes, runs } => bulk::bulk(mebibytes, runs).await,
        Benchmark::Relay { offers } => relay::relay(offers).await,
        Benchmark::Faults(arguments) => faults::faults(arguments).await,
        Benchmark::FaultsPeer(arguments) => faults::peer(arguments).await,
        Benchmark::Storm { sessions, runs } => faults::storm::storm(sessions, runs).await,
    }
}
