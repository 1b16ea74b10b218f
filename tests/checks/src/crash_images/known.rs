//! What the application knows at a point of the log: the notes of the side disk.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

use lvshift_vm_tests::side_disk::Note;

/// What is known of one LV.
#[derive(Clone, Debug)]
pub struct OfLv {
    /// The seed of its writer.
    pub seed: u64,
    /// Of each sector, the oldest version that may be found.
    pub floors: Vec<u64>,
    /// If said: the disks of which it lies wholly on one.
    pub homes: Option<Vec<String>>,
}

/// All that is known.
///
/// ```text
/// writer LV SEED SECTORS    from here on the LV is checked
/// home LV DISK[,DISK]       it lies on one of these; on a single one: and nothing moves
/// begin, end                crash images are made in between
/// ```
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By the LV's name.
    pub lvs: BTreeMap<String, OfLv>,
    /// Whether crash images are to be made.
    pub begun: bool,
    /// Other marks, the last of them.
    pub last: String,
}

impl Known {
    /// Takes a note in.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn learn(&mut self, note: Note) -> Result<()> {
        match note {
            Note::Command(_) => Ok(()),
            Note::Floors { seed, floors } => {
                let of = self.lvs.values_mut().find(|of| of.seed == seed);
                let of = of.with_context(|| format!("no writer has the seed {seed}"))?;
                for (sector, version) in floors {
                    let floor = of.floors.get_mut(usize::try_from(sector)?);
                    let floor = floor.with_context(|| format!("floor of sector {sector}"))?;
                    *floor = version.max(*floor);
                }
                Ok(())
            }
            Note::Mark(text) => self.mark(&text).with_context(|| format!("the mark {text:?}")),
        }
    }

    fn mark(&mut self, text: &str) -> Result<()> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["writer", lv, seed, sectors] => {
                let floors = vec![0; sectors.parse()?];
                let of = OfLv { seed: seed.parse()?, floors, homes: None };
                self.lvs.insert((*lv).to_owned(), of);
            }
            ["home", lv, homes] => {
                let Some(of) = self.lvs.get_mut(*lv) else { bail!("no writer is on {lv}") };
                of.homes = Some(homes.split(',').map(str::to_owned).collect());
            }
            ["begin"] => self.begun = true,
            ["end"] => self.begun = false,
            _ => {}
        }
        text.clone_into(&mut self.last);
        Ok(())
    }
}
