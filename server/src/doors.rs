//! The two doors: what is served where, and every limit that HTTP/2 has. tonic's own defaults leave most
//! of them open.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use patchcord_proto::v1::{room_service_server, signaling_service_server};
use tokio::time::timeout;
use tonic::{
    Status,
    service::{Routes, RoutesBuilder},
    transport::Server,
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    admin_http,
    auth::{AdminAuth, authorize},
    config::{Config, UNARY_TIMEOUT},
    error::ServeError,
    reflection,
    rooms::Rooms,
    signaling::{Exchange, Signaling},
};
use tokio_util::sync::CancellationToken;

/// Streams besides sessions that a connection may have at one time: health, reflection, rooms.
const OTHER_STREAMS_MAX: usize = 8;
/// A ping after this long without a frame; the connection ends when it is not answered in time. A peer
/// that vanishes is noticed within the sum.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(8);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// Unary messages are small: names and a text for people.
const ADMIN_REQUEST_BYTES_MAX: usize = 64 * 1024;
const ADMIN_RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

/// The transport of a door with its limits.
pub fn transport(config: &Config) -> Server {
    let streams_max =
        u32::try_from(config.sessions_per_connection_max + OTHER_STREAMS_MAX).unwrap_or(u32::MAX);
    Server::builder()
        .max_concurrent_streams(streams_max)
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(64))
        .http2_max_header_list_size(8 * 1024)
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(256 * 1024)
        .max_frame_size(16 * 1024)
        .http2_adaptive_window(Some(false))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .concurrency_limit_per_connection(streams_max as usize * 2)
        .load_shed(true)
}

/// What is served in public.
pub fn public_routes(exchange: &Arc<Exchange>) -> Result<(Routes, HealthReporter), ServeError> {
    let signaling = signaling_service_server::SERVICE_NAME;
    let mut routes = RoutesBuilder::default();
    let (reporter, health) = tonic_health::server::health_reporter();
    routes
        .add_service(Signaling::new(Arc::clone(exchange)))
        .add_service(health.max_decoding_message_size(reflection::REQUEST_BYTES_MAX));
    let listed = [signaling, HEALTH, REFLECTION, REFLECTION_ALPHA];
    reflection::add_services(&mut routes, reflection::PUBLIC_FILES, &listed)?;
    Ok((in_time(routes.routes()).into(), reporter))
}

/// What is served to operators.
pub fn admin_routes(
    exchange: &Arc<Exchange>,
    auth: Arc<AdminAuth>,
    stopping: &CancellationToken,
) -> Result<(Routes, HealthReporter), ServeError> {
    let mut routes = RoutesBuilder::default();
    let (reporter, health) = tonic_health::server::health_reporter();
    let rooms = Rooms::new(exchange, stopping.clone());
    let rooms = room_service_server::RoomServiceServer::new(rooms)
        .max_decoding_message_size(ADMIN_REQUEST_BYTES_MAX)
        .max_encoding_message_size(ADMIN_RESPONSE_BYTES_MAX);
    routes.add_service(rooms).add_service(health.max_decoding_message_size(reflection::REQUEST_BYTES_MAX));
    let listed = [room_service_server::SERVICE_NAME, HEALTH, REFLECTION, REFLECTION_ALPHA];
    reflection::add_services(&mut routes, reflection::ADMIN_FILES, &listed)?;
    let router = in_time(routes.routes());
    let store = Arc::clone(&exchange.store);
    let router = admin_http::add_pages(router, store, Arc::clone(&exchange.metrics), stopping.clone());
    // Outside of everything else: what is not let in is not read.
    Ok((router.layer(from_fn_with_state(auth, authorize)).into(), reporter))
}

/// Lets no call wait for the rest of its request for ever. tonic's own timeout would call the end CANCELLED, as if the
/// client had wished it.
fn in_time(routes: Routes) -> Router {
    routes.into_axum_router().layer(from_fn(answer_in_time))
}

/// Up to the response's headers, which a stream sends at once.
async fn answer_in_time(request: Request, next: Next) -> Response {
    match timeout(UNARY_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the request did not come whole in 5 seconds").into_http(),
    }
}

/// Sets the health of the whole door and of these services.
pub async fn report(reporter: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in [""].iter().chain(services) {
        reporter.set_service_status(*service, status).await;
    }
}
