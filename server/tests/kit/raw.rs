//! A client of bare HTTP/2, for what the generated client would not do.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::ResponseFuture};
use patchcord_proto::v1::SignalResponse;
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use super::DEADLINE;

pub const SIGNAL: &str = "/patchcord.v1.SignalingService/Signal";

/// One call on a connection of its own.
pub struct RawCall {
    pub requests: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    received: BytesMut,
    _connection: JoinHandle<()>,
}

impl RawCall {
    pub async fn open(address: SocketAddr) -> Self {
        Self::open_with_window(address, 65_535).await
    }

    /// A small window lets little be sent to a client that does not read.
    pub async fn open_with_window(address: SocketAddr, window_bytes: u32) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window_bytes);
        let (client, connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = http::Request::post(format!("http://{address}{SIGNAL}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (response, requests) = client.ready().await.unwrap().send_request(request, false).unwrap();
        let received = BytesMut::new();
        Self { requests, response: Some(response), body: None, received, _connection: connection }
    }

    /// Sends one gRPC message, whatever is in it.
    pub fn send(&mut self, message: &[u8]) {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.put_slice(message);
        self.requests.send_data(framed.freeze(), false).unwrap();
    }

    pub fn send_request(&mut self, request: &impl Message) {
        self.send(&request.encode_to_vec());
    }

    /// RST_STREAM: what a cancelled call is on the wire.
    pub fn reset(&mut self) {
        self.requests.send_reset(h2::Reason::CANCEL);
    }

    async fn body(&mut self) -> &mut RecvStream {
        if let Some(response) = self.response.take() {
            let response = timeout(DEADLINE, response).await.unwrap().unwrap();
            assert_eq!(response.status(), 200);
            self.body = Some(response.into_body());
        }
        self.body.as_mut().unwrap()
    }

    /// The next response; `None` at the end.
    pub async fn response(&mut self) -> Option<SignalResponse> {
        loop {
            if self.received.len() >= 5 {
                let len = u32::from_be_bytes(self.received[1..5].try_into().unwrap()) as usize;
                if self.received.len() >= 5 + len {
                    let message = self.received.split_to(5 + len);
                    return Some(SignalResponse::decode(&message[5..]).unwrap());
                }
            }
            let body = self.body().await;
            let data = timeout(DEADLINE, body.data()).await.unwrap()?.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            self.received.extend_from_slice(&data);
        }
    }

    /// The status that the call ended with, after everything else was read.
    pub async fn status(&mut self) -> tonic::Code {
        while self.response().await.is_some() {}
        let trailers = timeout(DEADLINE, self.body().await.trailers()).await.unwrap().unwrap().unwrap();
        let code: i32 = trailers["grpc-status"].to_str().unwrap().parse().unwrap();
        code.into()
    }
}
