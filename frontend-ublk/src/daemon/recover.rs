//! Taking over the devices of a dead daemon. Which table each gets, the metadata decides, by the
//! same rules as any activation; the new daemon is its own first client.

use std::sync::Arc;
use std::time::Duration;

use lvshift_core::metadata::MoveState;
use lvshift_core::mover::Mapping;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::activation;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::FrontEnd as _;
use lvshift_frontend_common::pv::KnownPv;
use lvshift_frontend_common::vg::{Hold, OpenVg};
use lvshift_frontend_common::{lock, output};

use crate::channel::Answers;
use crate::client::Ublk;
use crate::failpoint::{self, Point};
use crate::platform::{Instant, files, sleep};
use crate::protocol::{Kept, Request, WirePv};

/// How long a recovery is tried again before what waits goes on waiting.
const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(200);
/// How long whoever holds a lock may take. A command that waits for this daemon holds it longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a PV may be silent; one that is not needed is done without then.
const SILENCE: Duration = Duration::from_secs(4);
/// How long PVs may disagree because a command is just writing to them.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);

/// Takes over what can be; says what cannot.
pub(crate) fn take_over(vg: Uuid, daemon: Arc<dyn Answers>, lvs: &[Uuid]) {
    failpoint::pass(Point::OrphansFound);
    lock::wait_at_most(PATIENCE);
    let start = Instant::now();
    let mut client = Ublk::of(vg, daemon);
    let mut mirrors = lvs.to_vec();
    mirrors.retain(|lv| files::mirror(*lv).is_some());
    let mut left: Vec<Uuid> = lvs.iter().copied().filter(|lv| !mirrors.contains(lv)).collect();
    loop {
        let mut errors = Vec::new();
        mirrors.retain(|lv| match serve_again(vg, &mut client, *lv) {
            Ok(()) => false,
            Err(error) => {
                errors.push(error);
                true
            }
        });
        match open(vg) {
            // Of LVM2's VGs there is nothing to open.
            _ if left.is_empty() => {}
            Ok(mut vg) => left.retain(|lv| match one(&mut vg, &mut client, *lv, start) {
                Ok(()) => false,
                Err(error) => {
                    errors.push(error);
                    true
                }
            }),
            Err(error) => errors.push(error),
        }
        if left.is_empty() && mirrors.is_empty() {
            failpoint::pass(Point::AllTakenOver);
            return;
        }
        for error in &errors {
            output::err(&format!("lvshift-ublk: taking over: {error}\n"));
        }
        if start.elapsed() > LIMIT {
            let left = left.len() + mirrors.len();
            output::err(&format!(
                "lvshift-ublk: {left} devices could not be taken over and wait\n"
            ));
            return;
        }
        sleep(STEP);
    }
}

/// The mirror of a move in a VG of LVM2's. Whatever its state, both sides can be served, as long as no mover is
/// in charge: LVM2 is asked when I/O goes on, since it may wait for that.
fn serve_again(vg: Uuid, client: &mut Ublk, lv: Uuid) -> Result<()> {
    let Some(Kept { vg_id, name, table }) = files::mirror(lv) else { return Ok(()) };
    let (lv, shadow, undecided) = (lv.0, None, true);
    let request = Request::Activate { lv, name, table, shadow, undecided, lvm2: Some(vg_id) };
    client.do_it(vg, &request)
}

fn open(uuid: Uuid) -> Result<OpenVg> {
    let mut opened = find(uuid)?;
    // Who uses the devices waits for what is committed here, too.
    opened.wait_for_pvs(SILENCE);
    Ok(opened)
}

fn find(uuid: Uuid) -> Result<OpenVg> {
    // What the dead one has noted, and no other device: any of them may hang, or wait for us.
    let known: Vec<KnownPv> = files::noted_pvs(uuid).iter().map(WirePv::known).collect();
    if !known.is_empty() {
        match OpenVg::open_known(&known, uuid) {
            Err(error) if error.kind == Kind::Missing => {
                output::err(&format!("lvshift-ublk: looking for the PVs anew: {error}\n"));
            }
            opened => return opened,
        }
    }
    let all = OpenVg::open_all(Hold::Release)?;
    let found = all.into_iter().flatten().find(|vg| vg.vg().uuid() == uuid);
    found.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no VG {uuid}")))
}

fn one(vg: &mut OpenVg, client: &mut Ublk, lv: Uuid, start: Instant) -> Result<()> {
    match activation::take_over(vg, client, lv) {
        Err(error) if error.kind == Kind::Locked => {}
        other => return other.map(|_| ()),
    }
    // A mover has the move in its hands and waits for us. It has begun nothing that the record
    // does not say: what is recorded as Copying has an honest log, whatever was loaded. But for the
    // commit of Moved, which it makes under this lock, and only while the daemon is still there
    // that it has sealed. With the lock the outcome is read; without it, it is waited for.
    let lock = lock::metadata_shared_if_free(vg.vg().uuid())?;
    client.in_doubt = lock.is_none();
    vg.reread()?;
    let agreed = vg.health().agrees_on(vg.vg().sequence());
    if !agreed && start.elapsed() < COMMIT_LIMIT {
        return Err(Error::new(Kind::Locked, "a command is writing the VG's metadata"));
    }
    let model = vg.vg();
    let index = model.lv_by_uuid(lv).ok_or_else(|| Error::new(Kind::NotFound, "the LV is gone"))?;
    let record = model.move_of_lv(index).and_then(|of| model.move_at(of));
    let mapping = match record.map(|record| record.state) {
        Some(MoveState::Copying) => Mapping::Mirrored,
        // On some PVs it may still be Copying, for ever: both sides are served until it is settled.
        Some(MoveState::Moved) if !agreed => Mapping::Mirrored,
        Some(MoveState::Moved) => Mapping::Final,
        Some(MoveState::Queued | MoveState::Aborting) | None => Mapping::Source,
    };
    client.activate(vg.view(), index, mapping, false).map(|_| ())
}
