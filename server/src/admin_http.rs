//! What the admin door says over plain HTTP: /metrics for Prometheus, /livez and /readyz for whoever
//! supervises the process.

use std::sync::Arc;

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{self, Metrics},
    store::Store,
};

/// Adds the pages to the routes of the admin door. `stopping` turns /readyz into 503.
pub fn add_pages(
    router: Router,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
) -> Router {
    let metrics_page = move || async move {
        metrics.rooms.set(i64::try_from(store.room_count().await).unwrap_or(i64::MAX));
        ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode())
    };
    let ready_page = move || async move {
        if stopping.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
        } else {
            "ready\n".into_response()
        }
    };
    router
        .route("/metrics", get(metrics_page))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready_page))
}
