use crate::dice::Dice;
use crate::net::Net;
use crate::net::Pipe;
use crate::net::Place;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const A: Place = Place(1);
const B: Place = Place(2);

/// A connection from A to B: both its ends.
async fn connected(net: &Net) -> (Pipe, Pipe) {
    let (a, b) = (net.begin(A), net.begin(B));
    let mut accepted = b.listen();
    let near = net.connect(&a, B).await.unwrap();
    (near, accepted.recv().await.unwrap().unwrap())
}

fn net() -> Net {
    Net::new(Dice::new(7))
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_in_order_and_both_ways() {
    let (mut near, mut far) = connected(&net()).await;
    near.write_all(b"one ").await.unwrap();
    near.write_all(b"two").await.unwrap();
    let mut heard = [0; 7];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"one two");
    far.write_all(b"yes").await.unwrap();
    let mut heard = [0; 3];
    near.read_exact(&mut heard).await.unwrap();
    drop(far);
    assert_eq!(near.read(&mut heard).await.unwrap(), 0, "it was closed");
}

#[tokio::test(start_paused = true)]
async fn a_cut_direction_keeps_its_bytes_and_the_other_one_goes_on() {
    let net = net();
    let (mut near, mut far) = connected(&net).await;
    net.cut(A, B);
    near.write_all(b"x").await.unwrap();
    far.write_all(b"y").await.unwrap();
    let mut heard = [0; 1];
    near.read_exact(&mut heard).await.unwrap();
    let waited = timeout(Duration::from_secs(9), far.read_exact(&mut heard));
    assert!(waited.await.is_err(), "nothing gets through");
    net.heal();
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"x");
}

#[tokio::test(start_paused = true)]
async fn the_peer_of_a_dead_process_is_told_and_the_dead_one_hears_nothing() {
    let net = net();
    let (mut near, mut far) = connected(&net).await;
    near.write_all(b"x").await.unwrap();
    net.kill(B);
    let mut heard = [0; 1];
    let dead = far.read_exact(&mut heard).await.unwrap_err();
    assert_eq!(dead.kind(), ErrorKind::BrokenPipe);
    let told = near.read_exact(&mut heard).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::ConnectionReset);
    let again = net.begin(A);
    let refused = net.connect(&again, B).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(again.refuses(B).await, "its machine lives");
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_is_neither_reached_nor_known_to_refuse() {
    let net = net();
    let a = net.begin(A);
    net.cut(B, A);
    let lost = net.connect(&a, B).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::TimedOut);
    assert!(!a.refuses(B).await);
}
