//! The program is killed at seeded moments, and each time given the same command again.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::ended::ended;
use crate::support::{Contents, Desk, assert_nothing_missing, is_block, number, orders};

/// Gives a command until it ends by itself; kills it at least `kills` times before.
async fn until_done(desk: &Desk, command: &str, kills: usize, before: &Contents, random: &mut StdRng) {
    let (mut killed, begin) = (0, Instant::now());
    let mut longest = Duration::from_millis(number("COMPACT_KILL_MS", 1_000));
    loop {
        let mut child = desk.start_at(&desk.endpoint, command);
        let wait = longest.mul_f64(random.random_range(0.1..1.0));
        tokio::time::sleep(wait).await;
        if killed < kills {
            if child.try_wait().unwrap().is_some() {
                let ended = ended(child.wait_with_output().unwrap());
                panic!(
                    "{command}: it ended before kill {}, in {:?} (COMPACT_KILL_MS): {ended:?}",
                    killed + 1,
                    begin.elapsed()
                );
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            assert_nothing_missing(before, &desk.contents().await, &format!("{command}, kill {killed} after {wait:?}"));
            if killed == kills {
                longest = Duration::ZERO;
            }
            continue;
        }
        let ended = tokio::task::spawn_blocking(move || ended(child.wait_with_output().unwrap())).await.unwrap();
        println!("{command}: {kills} kills, {:.1} s in all\n{}", begin.elapsed().as_secs_f64(), ended.out);
        ended.assert_code(0);
        return;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_in_order_and_the_same_command_goes_on() {
    let desk = Desk::new().await;
    desk.put(&orders(3_000, 15)).await;
    let before = desk.contents().await;
    let mut child = desk.start_at(&desk.endpoint, "run * --force --json --max-wcu 1000");
    // A block is stored, and its events are being deleted.
    while desk.contents().await.len() >= before.len() {
        assert!(child.try_wait().unwrap().is_none(), "{:?}", child.wait_with_output());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let interrupted = tokio::task::spawn_blocking(move || ended(child.wait_with_output().unwrap())).await.unwrap();
    assert!(interrupted.assert_code(130).err.contains("the same command goes on"));
    assert_nothing_missing(&before, &desk.contents().await, "interrupted");
    let report = desk.run("run * --force --json --max-wcu 1000000").await.assert_code(0).json();
    assert_eq!(report["resumed"].as_bool(), Some(true));
    assert_eq!(report["totals"]["moved"].as_u64(), Some(3_000), "over both processes: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_nothing_is_missing_and_the_table_comes_back() {
    let (seed, count) = (number("COMPACT_SEED", 5), number("COMPACT_EVENTS", 9_000));
    println!("seed {seed}, {count} events");
    let kills = usize::try_from(number("COMPACT_KILLS", 10)).unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let desk = Desk::new().await;
    desk.put(&orders(usize::try_from(count).unwrap(), seed)).await;
    let before = desk.contents().await;
    // The rate spreads the work over the kills, however fast the machine is: two units an event, 10 s at least.
    let rate = count / 5;
    let command = |name: &str| format!("{name} live_orders_* --force --max-wcu {rate}");
    until_done(&desk, &command("run"), kills, &before, &mut random).await;
    let packed = desk.contents().await;
    assert!(packed.values().all(|item| is_block(item) || item["channel"].as_s().unwrap() == "_channels"));
    until_done(&desk, &command("expand"), kills, &before, &mut random).await;
    assert!(desk.contents().await == before, "not the table that it was");
}
