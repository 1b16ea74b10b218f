//! Disks that err, are slow, or stop for a while: set while they run.
//!
//! ```text
//! error DISK OPS FIRST+COUNT [TIMES]     these requests fail (OPS: read,write,flush,zero or all)
//! delay DISK OPS FIRST+COUNT MS          they are answered that much later
//! stop DISK MS                           nothing is answered for so long
//! hit DISK                               obeyed once a request has failed by a rule for this disk
//! clear DISK                             none of this any more
//! cut nothing                            the next power cut leaves nothing that was not durable
//! cut some|torn SEED PER_MILLE           it leaves so much, in whole requests or in single sectors
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::survive::Survive;

/// What a request does, as far as rules tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Makes durable.
    Flush,
    /// Zeroes or discards.
    Zero,
}

impl Op {
    const ALL: [(&'static str, Op); 4] =
        [("read", Op::Read), ("write", Op::Write), ("flush", Op::Flush), ("zero", Op::Zero)];
}

#[derive(Clone, Debug)]
enum What {
    Error { left: Option<u32> },
    Delay(Duration),
}

#[derive(Clone, Debug)]
struct Rule {
    disk: usize,
    ops: Vec<Op>,
    first: u64,
    end: u64,
    what: What,
    hits: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Whether it fails.
    pub fails: bool,
    /// Not answered before this.
    pub due: Instant,
}

/// All rules in force.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    stops: Vec<(usize, Instant)>,
    /// What the next power cut leaves, if anybody said so.
    pub cut: Option<Survive>,
}

impl Rules {
    /// Takes a line of the language above; `disk` finds a disk's number.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn set(&mut self, line: &str, disk: impl Fn(&str) -> Option<usize>) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |name: &str| disk(name).with_context(|| format!("no disk is called {name}"));
        match words.as_slice() {
            ["error", name, ops, range, times @ ..] => {
                let left = times.first().map(|n| n.parse()).transpose()?;
                self.rules.push(rule(number(name)?, ops, range, What::Error { left })?);
            }
            ["delay", name, ops, range, ms] => {
                let what = What::Delay(Duration::from_millis(ms.parse()?));
                self.rules.push(rule(number(name)?, ops, range, what)?);
            }
            ["stop", name, ms] => {
                let until = Instant::now() + Duration::from_millis(ms.parse()?);
                self.stops.push((number(name)?, until));
            }
            ["hit", name] => {
                let disk = number(name)?;
                let has_hit = |rule: &Rule| rule.disk == disk && rule.hits > 0;
                ensure!(self.rules.iter().any(has_hit), "nothing has failed on {name} yet");
            }
            ["clear", name] => {
                let disk = number(name)?;
                self.rules.retain(|rule| rule.disk != disk);
                self.stops.retain(|stop| stop.0 != disk);
            }
            ["cut", "nothing"] => self.cut = Some(Survive::Nothing),
            ["cut", how @ ("some" | "torn"), seed, per_mille] => {
                let (seed, per_mille) = (seed.parse()?, per_mille.parse()?);
                self.cut = Some(match *how {
                    "some" => Survive::Some { seed, per_mille },
                    _ => Survive::Torn { seed, per_mille },
                });
            }
            _ => bail!("the disk server does not know the command {line:?}"),
        }
        Ok(())
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What becomes of a request; a flush is about all sectors.
    pub fn fate(&mut self, disk: usize, op: Op, first: u64, sectors: u64) -> Fate {
        let now = Instant::now();
        let mut fate = Fate { fails: false, due: now };
        for rule in &mut self.rules {
            let hit = op == Op::Flush || (first < rule.end && rule.first < first + sectors);
            if rule.disk != disk || !rule.ops.contains(&op) || !hit {
                continue;
            }
            match &mut rule.what {
                What::Error { left: Some(0) } => {}
                What::Error { left } => {
                    fate.fails = true;
                    rule.hits += 1;
                    *left = left.map(|n| n - 1);
                }
                What::Delay(time) => fate.due = fate.due.max(now + *time),
            }
        }
        for (stopped, until) in &self.stops {
            if *stopped == disk {
                fate.due = fate.due.max(*until);
            }
        }
        fate
    }
}

fn rule(disk: usize, ops: &str, range: &str, what: What) -> Result<Rule> {
    let (first, count) =
        range.split_once('+').with_context(|| format!("{range:?} is not FIRST+COUNT"))?;
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    let ops = if ops == "all" {
        Op::ALL.iter().map(|(_, op)| *op).collect()
    } else {
        let one = |word: &str| {
            let op = Op::ALL.iter().find(|(name, _)| *name == word).map(|(_, op)| *op);
            op.with_context(|| format!("there is no operation {word:?}"))
        };
        ops.split(',').map(one).collect::<Result<_>>()?
    };
    Ok(Rule { disk, ops, first, end: first.saturating_add(count), what, hits: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Option<usize> {
        ["pv1", "pv2"].iter().position(|n| *n == name)
    }

    #[test]
    fn a_rule_hits_its_disk_its_sectors_and_its_operations() {
        let mut rules = Rules::default();
        rules.set("error pv2 read,write 100+8", names).expect("a rule");
        let fails = |rules: &mut Rules, disk, op, first| rules.fate(disk, op, first, 8).fails;
        assert!(fails(&mut rules, 1, Op::Write, 93));
        assert!(fails(&mut rules, 1, Op::Read, 107));
        for (disk, op, first) in
            [(0, Op::Write, 100), (1, Op::Zero, 100), (1, Op::Write, 92), (1, Op::Write, 108)]
        {
            assert!(!fails(&mut rules, disk, op, first), "{disk} {op:?} {first}");
        }
        rules.set("clear pv2", names).expect("a rule");
        assert!(!fails(&mut rules, 1, Op::Write, 100));
    }

    #[test]
    fn an_error_can_come_once_and_a_delay_and_a_stop_hold_the_answer() {
        let mut rules = Rules::default();
        rules.set("error pv1 flush 0+1 1", names).expect("a rule");
        assert!(rules.set("hit pv1", names).is_err());
        assert!(rules.fate(0, Op::Flush, 0, 0).fails);
        rules.set("hit pv1", names).expect("it has");
        assert!(!rules.fate(0, Op::Flush, 0, 0).fails);
        rules.set("delay pv1 all 0+8 5000", names).expect("a rule");
        rules.set("stop pv2 5000", names).expect("a rule");
        let soon = Instant::now() + Duration::from_secs(4);
        assert!(rules.fate(0, Op::Read, 0, 1).due > soon);
        assert!(rules.fate(0, Op::Read, 8, 1).due < soon);
        assert!(rules.fate(1, Op::Read, 8, 1).due > soon);
        for wrong in ["", "error pv3 all 0+1", "error pv1 seek 0+1", "delay pv1 all 0 5"] {
            assert!(rules.set(wrong, names).is_err(), "{wrong:?}");
        }
    }
}
