//! Signaling under faults, over real processes: peers write to each other while connections are cut, processes
//! stopped and killed; then the history of all of them must be one that the contract permits.

mod chaos;
mod children;
mod history;
mod peer;
mod proxy;
mod run;
pub(crate) mod storm;

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;

use crate::figures::Sample;
use chaos::{Fault, Plan};
use history::{Record, Verdict, Violation, What, check};
use run::Run;

/// Peers of a process.
const PEERS_PER_PROCESS: usize = 5;

const VIOLATIONS_SHOWN: usize = 20;

/// What `patchcord-bench faults` is told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long faults go on; healing comes on top.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Peers, five a process.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(5..=100))]
    peers: u64,
    /// The same seed has the same faults, to the same processes at the same times; random when not given.
    #[arg(long)]
    seed: Option<u64>,
}

/// What each of its processes is told.
#[derive(clap::Args)]
pub(crate) struct PeerArguments {
    #[arg(long)]
    server: String,
    #[arg(long)]
    peers: u64,
    #[arg(long)]
    first_writer: u64,
}

pub(crate) async fn peer(arguments: PeerArguments) -> anyhow::Result<()> {
    let PeerArguments { server, peers, first_writer } = arguments;
    peer::run(server, "faults".to_owned(), peers, first_writer).await
}

pub(crate) async fn faults(arguments: Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    let processes = usize::try_from(arguments.peers)?.div_ceil(PEERS_PER_PROCESS);
    let mut run = Run::start(processes, PEERS_PER_PROCESS as u64).await?;
    run.go(&mut Plan::new(seed), Duration::from_secs(arguments.seconds)).await?;
    let Run { ear, faults, healed, agreed, violations, .. } = run;
    let said = ear.said();
    let records = said.history.records();
    let verdict = check(records);
    let mut kinds: BTreeMap<Fault, usize> = BTreeMap::new();
    faults.iter().for_each(|(fault, ..)| *kinds.entry(*fault).or_default() += 1);
    println!("faults: {kinds:?}");
    print_messages(&verdict, records);
    print_returns(records, &faults);
    healed.print("from the end of the faults until all peers are back");
    agreed.print("from then until all rosters agree");
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    for violation in verdict.violations.iter().take(VIOLATIONS_SHOWN) {
        println!("VIOLATION {violation:?}");
    }
    match violations.len() + verdict.violations.len() {
        0 => Ok(()),
        count => bail!("{count} violations with --seed {seed}"),
    }
}

fn print_messages(verdict: &Verdict, records: &[Record]) {
    let Verdict { sent, acknowledged, received, rejected, told, ended, ended_acknowledged, .. } = verdict;
    let refused = records.iter().filter(|record| matches!(record.what, What::Refused { .. })).count();
    println!("messages: {sent} taken, {acknowledged} acknowledged by the server, {received} received");
    println!(
        "  not received: {rejected:?} rejected, {told} told by a resume, {ended} because a session ended"
    );
    println!(
        "  of the last, {ended_acknowledged} were acknowledged and {} never were",
        ended - ended_acknowledged
    );
    println!("  times that a session said that it takes no more: {refused}");
    let count = |is: fn(&Violation) -> bool| verdict.violations.iter().filter(|v| is(v)).count();
    println!(
        "  LOST {}, DOUBLED {}, OUT OF ORDER {}, otherwise wrong {}",
        count(|violation| matches!(violation, Violation::Lost { .. })),
        count(|violation| matches!(violation, Violation::Doubled { .. })),
        count(|violation| matches!(violation, Violation::OutOfOrder { .. })),
        count(|violation| {
            use Violation::{Doubled, Lost, OutOfOrder};
            !matches!(violation, Lost { .. } | Doubled { .. } | OutOfOrder { .. })
        }),
    );
}

/// How long peers were away, by how they came back.
fn print_returns(records: &[Record], faults: &[(Fault, u64, u64)]) {
    let mut away: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut after_cut, mut resumed, mut rejoined) = <(Sample, Sample, Sample)>::default();
    let (mut complete_ones, mut incomplete_ones) = (0, 0);
    for record in records {
        let session = record.session.as_str();
        match &record.what {
            What::Away => {
                away.insert(session, record.at);
            }
            What::Resumed { complete, .. } => {
                *(if *complete { &mut complete_ones } else { &mut incomplete_ones }) += 1;
                let Some(since) = away.remove(session) else { continue };
                let took = Duration::from_micros(record.at.saturating_sub(since));
                resumed.add(took);
                if !faults.iter().any(|fault| keeps_all_away(fault, since, record.at)) {
                    after_cut.add(took);
                }
            }
            What::Began { was: Some(was) } => {
                if let Some(since) = away.remove(was.as_str()) {
                    rejoined.add(Duration::from_micros(record.at.saturating_sub(since)));
                }
            }
            _ => {}
        }
    }
    println!("resumes: {complete_ones} complete, {incomplete_ones} that said what is missing");
    after_cut.print("from a cut to Resumed, the server being there");
    resumed.print("from a cut to Resumed, all");
    rejoined.print("from a cut to another session");
}

fn keeps_all_away(fault: &(Fault, u64, u64), since: u64, until: u64) -> bool {
    let (kind, began, ended) = *fault;
    matches!(kind, Fault::Refuse | Fault::StopServer | Fault::KillServer) && began <= until && since <= ended
}
