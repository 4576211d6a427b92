//! Chats in a room: `cargo run -p patchcord-peer --example chat -- http://127.0.0.1:50051 lobby ana`.

use patchcord_peer::{Config, Event, Recipients, Room, TextKind};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(room), Some(name)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: chat SERVER ROOM NAME".into());
    };
    let (room, mut events) = Room::join(Config::new(server, room, name)).await?;
    println!("joined with {} others", room.info().peers.len());
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            Some(event) = events.recv() => match event {
                Event::ChannelOpen { peer_id, display_name } => {
                    println!("{} ({}) is here", display_name.escaped(), peer_id.short());
                }
                Event::Message(message) => println!("{}: {}", message.peer_id.short(), message.text.escaped()),
                Event::PeerLeft { peer_id, .. } => println!("{} left", peer_id.short()),
                _ => {}
            },
            line = lines.next_line() => match line? {
                Some(line) => {
                    if let Err(error) = room.send(Recipients::Everybody, TextKind::Plain, line).await {
                        println!("not sent: {error}");
                    }
                }
                None => break,
            },
        }
    }
    drop(events);
    room.leave().await;
    Ok(())
}
