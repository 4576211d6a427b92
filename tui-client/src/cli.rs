//! The arguments: every flag and variable with its default, parsed into what the commands take.
//! Of files only that of authorities is read here, and nothing is bound.

use std::{
    fmt::Display,
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use patchcord_peer::{
    CaCertificate, ClientCertificate, Config, ConnectPolicy, IceServer, IceTransportPolicy, IpPolicy,
};

use crate::{
    access::AccessArgs,
    doctor::DOCTOR_HELP,
    exit::{EXIT_CODES_HELP, Failure},
    identity::{self, IdentityArgs},
    json::JSON_HELP,
    sealed::{CodeArgs, Place},
};

mod admin_key;
mod url;

pub use admin_key::AdminKeyArgs;
use url::{admin_url, ice_server, public_url};

const DEFAULT_NAME: &str = "guest";

const EXAMPLES_HELP: &str = "\
Examples:
  patchcord host                      open a room here, show how others join it
  patchcord join --new                a room that the server cannot read: shows
                                      the code that others type to join it
  patchcord join                      asks for a room or a code
  patchcord join lobby                the room \"lobby\" of this machine
  patchcord join lobby --server host.example
  echo done | patchcord join lobby    deliver a text and leave
  patchcord join lobby --json         for programs: one JSON object a line
  patchcord rooms --watch             the rooms, as they change
  patchcord doctor --server host.example
                                      will a chat work, and if not, why

A variable that is set but empty counts as not set.";

const JOIN_HELP: &str = "\
Input and output:
  On a terminal the screen starts; F1 or /help shows its keys and commands.
  With --plain every line of stdin is a text or a /command, stdout is the talk
  of the others, and all else goes to stderr. It is chosen by itself when stdin
  or stdout is no terminal, or TERM is \"dumb\".
  At the end of input what is queued is delivered, the room is left, and the
  exit code tells whether all arrived. To listen only, keep the input open:
    tail -f /dev/null | patchcord join lobby";

/// Chat between terminals, peer to peer, over WebRTC data channels.
///
/// Peers meet in a room on a signaling server ("switchboard"); what they say to each other goes directly from
/// one to the other and the server never sees it.
#[derive(Debug, Parser)]
#[command(name = "patchcord", version, arg_required_else_help = true, disable_help_subcommand = false)]
#[command(after_help = EXAMPLES_HELP, after_long_help = format!("{EXAMPLES_HELP}\n\n{EXIT_CODES_HELP}"))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Write a log to this file; without it nothing is logged.
    #[arg(long, env = "PATCHCORD_LOG", value_name = "PATH", global = true, help_heading = "Log")]
    pub log_file: Option<PathBuf>,
    /// What to log: a level, or directives such as "info,patchcord_peer=debug".
    #[arg(long, env = "PATCHCORD_LOG_LEVEL", value_name = "FILTER", default_value = "info", global = true)]
    #[arg(help_heading = "Log")]
    pub log_level: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a room and chat.
    #[command(after_long_help = format!("{JOIN_HELP}\n\n{JSON_HELP}\n\n{EXIT_CODES_HELP}"))]
    Join(JoinArgs),
    /// Start a switchboard inside this program, join a room on it, and show the line that others type to join.
    ///
    /// The switchboard ends when the room is left; chats between others go on without it.
    #[command(after_long_help = format!("{JOIN_HELP}\n\n{JSON_HELP}\n\n{EXIT_CODES_HELP}"))]
    Host(HostArgs),
    /// Find out whether a chat will work from here, and what to do where it will not.
    ///
    /// Looks at the way to the switchboard, at the STUN and TURN servers it names, the NAT, the clock and the
    /// terminal, within 15 seconds. Nobody's room is disturbed.
    #[command(after_long_help = format!("{DOCTOR_HELP}\n\n{EXIT_CODES_HELP}"))]
    Doctor(DoctorArgs),
    /// Show the rooms of a switchboard, through its admin door.
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES_HELP}", crate::rooms::JSON_HELP))]
    Rooms(RoomsArgs),
    /// Show your identity key and whom you have verified, or forget one of them.
    Identity(identity::command::CommandArgs),
}

impl Cli {
    /// The arguments and variables of this process; on a mistake it says so and exits with code 2.
    pub fn read() -> Self {
        let matches = without_empty_variables(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Container tools set variables to nothing where nothing is meant.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_env().and_then(std::env::var_os) {
            Some(value) if value.is_empty() => arg.env(None::<&'static str>),
            _ => arg,
        })
        .mut_subcommands(without_empty_variables)
}

impl Command {
    /// Whether stdout is for a program.
    pub fn is_json(&self) -> bool {
        match self {
            Self::Join(args) => args.session.json,
            Self::Host(args) => args.session.json,
            Self::Doctor(args) => args.json,
            Self::Rooms(args) => args.json,
            Self::Identity(_) => false,
        }
    }
}

/// Arguments of `patchcord join`.
#[derive(Args, Debug)]
pub struct JoinArgs {
    /// The room's name, or the code of a sealed room. A room appears with the first peer and vanishes with the last;
    /// anybody who knows its name can join. Without it, a terminal asks.
    #[arg(value_name = "ROOM|CODE")]
    pub room: Option<String>,
    /// Its code.
    #[command(flatten)]
    pub code: CodeArgs,
    /// Where.
    #[command(flatten)]
    pub server: ServerArgs,
    /// With what permission.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How to take part.
    #[command(flatten)]
    pub session: SessionArgs,
}

/// Where the switchboard is.
#[derive(Args, Debug)]
pub struct ServerArgs {
    /// The switchboard: HOST, HOST:PORT, http://HOST:PORT or https://HOST:PORT. A bare HOST means http and port 50051.
    #[arg(
        long,
        short,
        env = "PATCHCORD_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    #[arg(value_parser = public_url)]
    pub server: String,
}

/// Arguments of `patchcord host`.
#[derive(Args, Debug)]
pub struct HostArgs {
    /// The room's name. [default: three words made up on the spot]
    pub room: Option<String>,
    /// Make a code instead of a name: who types it joins, and the switchboard cannot read what they negotiate.
    #[arg(long, conflicts_with = "room")]
    pub sealed: bool,
    /// Address and port that others reach the switchboard at; port 0 takes a free one.
    #[arg(long, env = "PATCHCORD_BIND", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:50051")]
    pub bind: std::net::SocketAddr,
    /// How to take part.
    #[command(flatten)]
    pub session: SessionArgs,
}

/// How to take part in a room.
#[derive(Args, Debug)]
pub struct SessionArgs {
    /// What others are shown, at most 64 bytes. [default: your user name, or "guest"]
    #[arg(long, short, env = "PATCHCORD_NAME")]
    pub name: Option<String>,
    /// Connect to nobody until told to (/connect): the "start chat" step stays explicit. Offers of others are answered.
    #[arg(long)]
    pub wait: bool,
    /// Lines instead of a screen.
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    /// For programs: one JSON object a line both ways.
    #[arg(long)]
    pub json: bool,
    /// As whom.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// On which ways.
    #[command(flatten)]
    pub route: RouteArgs,
}

/// The ways on which packets may go, and who is trusted on them.
#[derive(Args, Debug)]
pub struct RouteArgs {
    /// Offer only this local address to peers; repeatable. [default: those of every interface but loopback]
    #[arg(long = "local-address", value_name = "ADDRESS")]
    pub local_addresses: Vec<IpAddr>,
    /// A STUN or TURN server beside those that the switchboard names; repeatable. stun:HOST:PORT, or
    /// turn:HOST:PORT?transport=udp,USERNAME,CREDENTIAL (the variable keeps the credential out of the process
    /// list; it holds several separated by spaces).
    #[arg(long = "ice-server", env = "PATCHCORD_ICE_SERVERS", hide_env_values = true)]
    #[arg(value_name = "URL[,USERNAME,CREDENTIAL]", value_delimiter = ' ')]
    ice_servers: Vec<String>,
    /// Use TURN servers only: peers do not learn this machine's addresses.
    #[arg(long, env = "PATCHCORD_RELAY_ONLY")]
    pub relay_only: bool,
    /// Where a peer may be that is not verified. "guarded": at private addresses only in a network that this machine is in.
    /// "any": at any private address, for networks that route them. "relay": at TURN servers, until it is verified; it
    /// learns no address but theirs before. Who knows the code of a sealed room is verified.
    #[arg(long, env = "PATCHCORD_IP_POLICY", value_name = "POLICY", default_value = "guarded")]
    #[arg(value_parser = PossibleValuesParser::new(["guarded", "any", "relay"]).map(ip_policy))]
    pub ip_policy: IpPolicy,
    /// Who is trusted.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Whose certificates are trusted, and which is shown.
#[derive(Args, Debug)]
pub struct TrustArgs {
    /// For https and turns: trust the authorities in this file (PEM) beside those of the system.
    #[arg(long, env = "PATCHCORD_CA_FILE", value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// For a switchboard that asks for it: your certificate (PEM).
    #[arg(long, env = "PATCHCORD_CLIENT_CERT", value_name = "PATH", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// The private key of your certificate (PEM).
    #[arg(long, env = "PATCHCORD_CLIENT_KEY", value_name = "PATH", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
}

/// Arguments of `patchcord doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Which switchboard.
    #[command(flatten)]
    pub server: ServerArgs,
    /// With what permission.
    #[command(flatten)]
    pub access: AccessArgs,
    /// On which ways.
    #[command(flatten)]
    pub route: RouteArgs,
    /// For programs: one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `patchcord rooms`.
#[derive(Args, Debug)]
pub struct RoomsArgs {
    /// The admin door of the switchboard: HOST, HOST:PORT or a url. A bare HOST means http and port 50052.
    #[arg(long, env = "PATCHCORD_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:50052")]
    #[arg(value_parser = admin_url)]
    pub admin: String,
    /// Only rooms whose name begins so.
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Where the key is.
    #[command(flatten)]
    pub key: AdminKeyArgs,
    /// Go on showing changes until interrupted.
    #[arg(long, short)]
    pub watch: bool,
    /// For programs: one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

impl SessionArgs {
    /// What the peer library is told for `place` at `server`.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub fn peer_config(&self, server: &str, place: &Place) -> Result<Config, Failure> {
        let name = self.name.clone().unwrap_or_else(default_name);
        let mut config = match place {
            Place::Open(room) => Config::new(server, room, name),
            Place::Sealed(code) => Config::sealed(server, code.clone(), name),
        };
        if self.wait {
            config.connect_policy = ConnectPolicy::Manual;
        }
        self.route.apply(&mut config)?;
        Ok(config)
    }
}

impl RouteArgs {
    /// Those that are named. Parsed here, as clap would repeat one that is wrong, with its credential.
    ///
    /// # Errors
    /// When one is wrong.
    pub fn ice_servers(&self) -> Result<Vec<IceServer>, Failure> {
        let wrong =
            |at, why| Failure::Usage(format!("--ice-server or PATCHCORD_ICE_SERVERS, number {at}: {why}"));
        let parsed = |(at, text): (usize, &String)| ice_server(text).map_err(|why| wrong(at + 1, why));
        self.ice_servers.iter().enumerate().map(parsed).collect()
    }

    /// Tells the peer library.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub fn apply(&self, config: &mut Config) -> Result<(), Failure> {
        config.user_agent = concat!("patchcord/", env!("CARGO_PKG_VERSION")).into();
        config.ice_servers = self.ice_servers()?;
        config.local_addresses.clone_from(&self.local_addresses);
        if self.relay_only {
            config.ice_transport_policy = IceTransportPolicy::Relay;
        }
        config.ip_policy = self.ip_policy;
        config.ca_certificate = self.trust.ca_certificate()?;
        config.client_certificate = self.trust.client_certificate()?;
        Ok(())
    }
}

fn ip_policy(text: String) -> IpPolicy {
    match text.as_str() {
        "any" => IpPolicy::Any,
        "relay" => IpPolicy::Relay,
        _ => IpPolicy::Guarded,
    }
}

impl TrustArgs {
    /// What the library is told.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub fn ca_certificate(&self) -> Result<Option<CaCertificate>, Failure> {
        self.ca_file.as_deref().map(authorities).transpose()
    }

    /// What the library shows.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn client_certificate(&self) -> Result<Option<ClientCertificate>, Failure> {
        let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) else { return Ok(None) };
        let read = |flag: &str, path: &Path| {
            let wrong = |error| Failure::Usage(format!("{flag} {}: {error}", path.display()));
            std::fs::read(path).map_err(wrong)
        };
        let pems = (read("--client-cert", certificate)?, read("--client-key", key)?);
        let identity = ClientCertificate::from_pem(&pems.0, &pems.1);
        identity.map(Some).map_err(|error| Failure::Usage(format!("--client-cert and --client-key: {error}")))
    }
}

/// The authorities in a file.
fn authorities(path: &Path) -> Result<CaCertificate, Failure> {
    let wrong = |reason: &dyn Display| Failure::Usage(format!("--ca-file {}: {reason}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
    CaCertificate::from_pem(pem).map_err(|error| wrong(&error))
}

/// The user name of whoever runs this, as far as it can be a display name.
fn default_name() -> String {
    let login = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|key| std::env::var(key).ok());
    display_name_from(&login.unwrap_or_default())
}

fn display_name_from(login: &str) -> String {
    let mut name: String =
        login.trim().chars().filter(|c| c.is_alphanumeric() || " ._-".contains(*c)).collect();
    // The contract's limit for a display name; a user name is cut, a name given on purpose is not.
    while name.len() > 64 {
        name.pop();
    }
    let name = name.trim();
    if name.is_empty() { DEFAULT_NAME } else { name }.into()
}

#[cfg(test)]
mod tests;
