//! The switchboard: peers meet in rooms over one bidirectional gRPC stream each and exchange what WebRTC
//! needs to connect them. The server relays; it reads no session description and sees no chat.
//! [`serve`] is the one path that the program, its tests and whoever embeds it share.

mod access;
mod addresses;
mod admin_http;
mod auth;
mod claims;
mod config;
mod doors;
mod error;
mod exposure;
mod frame;
mod ice_servers;
mod listener;
mod metrics;
mod name;
mod outbox;
mod peer_id;
mod random;
mod rate;
mod reflection;
mod refusal;
mod relay;
mod reload;
mod resume_token;
mod revoking;
mod room;
mod rooms;
mod session;
mod signaling;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod stopping;
mod store;
mod switchboard;
mod tls;
pub mod tokens;

use std::{io, net::SocketAddr, sync::Arc};

use patchcord_proto::v1::{room_service_server, signaling_service_server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};
use tokio_stream::Stream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::server::Connected};
use tonic_health::{ServingStatus, server::HealthReporter};

pub use auth::{AdminKey, InvalidName};
pub use config::{AdminSettings, Allowances, Config, LogFormat, Secret, TlsSettings};
pub use error::{ConfigError, ServeError};
pub use listener::files::raise_limit as raise_open_files_limit;

use access::Access;
use addresses::AddressThrottle;
use auth::AdminAuth;
use config::CUT_TIMEOUT;
use ice_servers::IceServers;
use listener::{ConnectionInfo, Incoming};
use metrics::Metrics;
use reload::Reloads;
use signaling::Exchange;
use stopping::Stopping;
use store::memory::{Capacity, Memory};
use switchboard::Switchboard;
use tokens::{RevokedReload, Tokens};

/// The sockets to serve on.
#[derive(Debug)]
pub struct Listeners {
    /// Signaling.
    pub public: TcpListener,
    /// Rooms and metrics; `None` for no admin door.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration says; see [`Config::checked`] for whether it can be served.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let public = bind("public", config.listen).await?;
        let admin = match config.no_admin {
            true => None,
            false => Some(bind("admin", config.admin_listen).await?),
        };
        Ok(Self { public, admin })
    }
}

async fn bind(door: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { door, address, source })
}

/// Serves until `shutdown` completes, then tells every peer to come back later and returns within 5
/// seconds, whatever clients do. The listeners are closed first, so their ports are free at once.
///
/// # Errors
/// [`ServeError::Config`] before anything else when [`Config::checked`] objects; otherwise when a door fails.
pub async fn serve(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    serve_with_reloads(config, listeners, tokio_stream::pending(), shutdown).await
}

/// As [`serve`]; at each item of `reloads` everything that came from files is read again. Files that change are
/// noticed without that, though some seconds later.
///
/// # Errors
/// As [`serve`]. What cannot be read again is logged, and goes on as it was.
pub async fn serve_with_reloads(
    config: Config,
    listeners: Listeners,
    reloads: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let node = Node::new(config.checked()?)?;
    let Node { config, exchange, access, stopping, .. } = &node;
    access.look_at(&listeners, config)?;
    let (tls, metrics, cut) = (access.public_tls.clone(), &exchange.metrics, &stopping.cut);
    let public = Incoming::public(listeners.public, config, tls, metrics, cut);
    let admin = listeners.admin.map(|listener| {
        let tls = access.admin_tls.clone();
        Incoming::admin(listener, config, tls, metrics, cut)
    });
    node.serve(public, admin, reloads, shutdown).await
}

/// All of a server but how connections come to it.
struct Node {
    config: Config,
    store: Arc<Memory>,
    exchange: Arc<Exchange>,
    access: Access,
    reloads: Reloads,
    stopping: Stopping,
}

impl Node {
    /// For a configuration that was checked.
    fn new(config: Config) -> Result<Self, ServeError> {
        let metrics = Arc::new(Metrics::default());
        let switchboard = Switchboard::new(Arc::clone(&metrics));
        let store = Arc::new(Memory::new(Arc::clone(&switchboard), Capacity::of(&config)));
        let exchange = exchange(&config, Arc::clone(&store), switchboard, metrics)?;
        let mut reloads = Reloads::default();
        if let Some(tokens) = &exchange.tokens {
            reloads.add(Arc::clone(tokens) as _);
            reloads.add(Arc::new(RevokedReload(Arc::clone(tokens))));
        }
        let access = Access::new(&config, exchange.tokens.clone(), &exchange.metrics, &mut reloads)?;
        let stopping = Stopping::default();
        Ok(Self { config, store, exchange, access, reloads, stopping })
    }

    async fn serve<C>(
        self,
        public_connections: impl Connections<C>,
        admin_connections: Option<impl Connections<C>>,
        reload_requests: impl Stream<Item = ()> + Send + 'static,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError>
    where
        C: Transport,
    {
        let Self { config, store, exchange, access, reloads, stopping } = self;
        let public = Door::public(&exchange)?;
        let admin = match admin_connections {
            Some(connections) => {
                Some((Door::admin(&exchange, access.admin_auth, &stopping.public)?, connections))
            }
            None => None,
        };
        let doors = || std::iter::once(&public).chain(admin.as_ref().map(|(door, _)| door));
        for door in doors() {
            door.report(ServingStatus::Serving).await;
        }
        let reporters: Vec<_> = doors().map(Door::reporter).collect();
        // Dropped, they end: no task outlives this future, however it ends.
        let _cut_at_the_latest = stopping.cut.clone().drop_guard();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { store.report_activity().await });
        tasks.spawn(revoking::end_what_is_revoked_elsewhere(Arc::clone(&exchange)));
        tasks.spawn(reloads.run(reload_requests, Arc::clone(&exchange.metrics)));
        let public = public.serve(&config, public_connections, &stopping.public);
        let admin = async {
            match admin {
                Some((door, connections)) => door.serve(&config, connections, &stopping.admin).await,
                None => {
                    stopping.admin.cancelled().await;
                    Ok(())
                }
            }
        };
        tokio::pin!(public, admin);
        tokio::select! {
            biased;
            outcome = &mut public => return outcome,
            outcome = &mut admin => return outcome,
            () = shutdown => {}
        }
        tracing::info!("draining");
        for (reporter, services) in reporters {
            doors::report(&reporter, services, ServingStatus::NotServing).await;
        }
        exchange.switchboard.drain();
        let outcome = stopping.stop(public, admin).await;
        exchange.tasks.close();
        // Their streams are gone, so nothing keeps them.
        let _ = timeout(CUT_TIMEOUT, exchange.tasks.wait()).await;
        outcome
    }
}

/// What a door is served over.
trait Transport:
    AsyncRead + AsyncWrite + Connected<ConnectInfo = ConnectionInfo> + Unpin + Send + 'static
{
}

impl<C> Transport for C where
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo = ConnectionInfo> + Unpin + Send + 'static
{
}

/// Connections as they come.
trait Connections<C>: Stream<Item = io::Result<C>> + Send + 'static {}

impl<C, S> Connections<C> for S where S: Stream<Item = io::Result<C>> + Send + 'static {}

/// What is behind the doors.
fn exchange(
    config: &Config,
    store: Arc<Memory>,
    switchboard: Arc<Switchboard>,
    metrics: Arc<Metrics>,
) -> Result<Arc<Exchange>, ServeError> {
    Ok(Arc::new(Exchange {
        store,
        switchboard,
        ice_servers: IceServers::new(config)?,
        metrics,
        tokens: Tokens::new(config)?,
        limits: config.limits(),
        rooms_max: config.rooms_max,
        peers_per_room_max: config.peers_per_room_max,
        join_throttle: AddressThrottle::joins(&config.allowances),
        resume_throttle: AddressThrottle::joins(&config.allowances),
        requests_per_session_rate: config.allowances.requests_per_session_rate,
        grace_time: config.grace_time(),
        claims: Arc::default(),
        tasks: TaskTracker::new(),
    }))
}

/// One of the two.
struct Door {
    name: &'static str,
    services: &'static [&'static str],
    routes: Routes,
    reporter: HealthReporter,
}

impl Door {
    fn public(exchange: &Arc<Exchange>) -> Result<Self, ServeError> {
        let (routes, reporter) = doors::public_routes(exchange)?;
        let services = &[signaling_service_server::SERVICE_NAME];
        Ok(Self { name: "public", services, routes, reporter })
    }

    fn admin(
        exchange: &Arc<Exchange>,
        auth: Arc<AdminAuth>,
        stopping: &CancellationToken,
    ) -> Result<Self, ServeError> {
        let (routes, reporter) = doors::admin_routes(exchange, auth, stopping)?;
        let services = &[room_service_server::SERVICE_NAME, signaling_service_server::SERVICE_NAME];
        Ok(Self { name: "admin", services, routes, reporter })
    }

    fn reporter(&self) -> (HealthReporter, &'static [&'static str]) {
        (self.reporter.clone(), self.services)
    }

    async fn report(&self, status: ServingStatus) {
        doors::report(&self.reporter, self.services, status).await;
    }

    async fn serve<C: Transport>(
        self,
        config: &Config,
        connections: impl Connections<C>,
        stopping: &CancellationToken,
    ) -> Result<(), ServeError> {
        let Self { name, routes, .. } = self;
        doors::transport(config)
            // Plain HTTP is for /metrics and the probes.
            .accept_http1(name == "admin")
            .add_routes(routes)
            .serve_with_incoming_shutdown(connections, stopping.clone().cancelled_owned())
            .await
            .map_err(|source| ServeError::Door { door: name, source })
    }
}
