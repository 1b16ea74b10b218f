//! Moves without a mover: found and named by every report.

use lvshift_core::metadata::MoveState;

use super::VgFacts;

/// A recorded move in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The LVs that it moves.
    pub lvs: Vec<String>,
    /// From which devices.
    pub from: Vec<String>,
    /// To which devices.
    pub to: Vec<String>,
    /// How far the record says it came.
    pub state: MoveState,
}

impl Interrupted {
    /// The sentence for the person.
    #[must_use]
    pub fn sentence(&self, program: &str) -> String {
        let (what, how) = match self.state {
            MoveState::Queued => ("planned but not begun", "to carry on"),
            MoveState::Copying => ("interrupted", "to carry on"),
            MoveState::Aborting => {
                ("interrupted while it was being undone", "to finish undoing it")
            }
            MoveState::Moved => ("done but for the tidying up", "to finish"),
        };
        let undo = match self.state {
            MoveState::Queued | MoveState::Copying => {
                format!(", `{program} pvmove --abort` to undo it")
            }
            MoveState::Aborting | MoveState::Moved => String::new(),
        };
        format!(
            "move of {} from {} to {} is {what}: run `{program} pvmove` {how}{undo}",
            self.lvs.join(", "),
            self.from.join(", "),
            self.to.join(", ")
        )
    }
}

/// The recorded moves of a VG that no mover drives now, in order.
#[must_use]
pub fn interrupted(facts: &VgFacts<'_>) -> Vec<Interrupted> {
    if facts.driven {
        return Vec::new();
    }
    facts
        .move_indices()
        .filter_map(|of| {
            let vg = facts.vg;
            let parts = vg.parts_of(of);
            let name = |lv: &_| Some(format!("{}/{}", vg.name(), vg.lv(*lv)?.name));
            Some(Interrupted {
                lvs: vg.lvs_of_move(of).iter().filter_map(name).collect(),
                from: facts.side(parts.iter(), |part| part.source.pv),
                to: facts.side(parts.iter(), |part| part.destination.pv),
                state: vg.move_at(of)?.state,
            })
        })
        .collect()
}
