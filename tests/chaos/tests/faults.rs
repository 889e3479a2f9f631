//! A short soak of every kind of fault, each with a seed that stays: `make chaos` soaks longer.

use std::time::Duration;
use weft_chaos::load::LoadOptions;
use weft_chaos::plan::Family;
use weft_chaos::report::Report;
use weft_chaos::run::Options;
use weft_chaos::run::run;

fn soak(name: &str, managers: usize, faults: u64, families: &[Family]) -> anyhow::Result<Report> {
    run(&Options {
        name: name.to_owned(),
        seed: 1,
        managers,
        faults,
        // A busy machine does less; a run without a fault fails below.
        limit: Some(Duration::from_secs(75)),
        families: families.to_vec(),
        load: LoadOptions {
            clients: 3,
            keys: 8,
            pause: 20,
            reads: 40,
        },
        progress: None,
    })
}

#[test]
fn killed_managers_lose_nothing_and_tell_no_old_news() -> anyhow::Result<()> {
    let report = soak("kill", 3, 40, &[Family::Kill])?;
    println!("{report}");
    assert!(report.figures().kills > 0 && report.written > 0);
    Ok(())
}

#[test]
fn managers_that_are_stopped_or_cut_off_lose_nothing_and_tell_no_old_news() -> anyhow::Result<()> {
    let report = soak("cut", 3, 14, &[Family::Stop, Family::Cut])?;
    println!("{report}");
    let figures = report.figures();
    assert!(figures.stops + figures.cuts > 0 && report.written > 0);
    Ok(())
}

#[test]
fn five_managers_under_every_fault_lose_nothing_and_tell_no_old_news() -> anyhow::Result<()> {
    let every = [Family::Kill, Family::Stop, Family::Cut];
    let report = soak("five", 5, 25, &every)?;
    println!("{report}");
    assert!(report.figures().kills > 0 && report.written > 0);
    Ok(())
}
