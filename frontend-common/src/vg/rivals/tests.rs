use super::super::tests::{Disks, make_lv};
use super::*;

const ALL: [usize; 3] = [0, 1, 2];

/// Which disks the LVs of the metadata lie on, by what a person is shown.
fn shown(rivals: &[Rival]) -> Vec<(Vec<PathBuf>, usize)> {
    rivals.iter().map(|rival| (rival.on.clone(), rival.vg.lvs().len())).collect()
}

fn paths(disks: &Disks, which: &[usize]) -> Vec<PathBuf> {
    which.iter().map(|at| disks.path(*at).to_path_buf()).collect()
}

fn keep(disks: &Disks, which: &[usize], rival: &Rival) -> Vec<PathBuf> {
    let lock = lock::metadata(rival.vg.uuid()).expect("locked");
    OpenVg::keep_in(disks.scan(which), lock, "vg", rival).expect("kept")
}

/// Three PVs, of which two went on without the third, and the third was told to go on without them.
fn given_up(commits: usize) -> Disks {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&ALL);
    make_lv(&mut vg, "one");
    drop(vg);
    for (there, commits) in [([1, 2].as_slice(), commits), (&[0], 1)] {
        let mut vg = disks.open(there).expect("opened");
        let gone = vg.missing();
        let lost: Vec<Uuid> = if there.len() == 2 {
            vg.vg().lvs().iter().map(|lv| lv.uuid).collect()
        } else {
            Vec::new()
        };
        vg.give_up(&gone, &lost).expect("given up");
        (1..commits).for_each(|_| vg.commit(|_| Ok(())).expect("committed"));
    }
    disks
}

#[test]
fn of_two_that_gave_each_other_up_a_person_chooses_either_whatever_their_numbers_and_it_is_settled()
{
    for commits in [1, 3] {
        for chosen in [&[0][..], &[1, 2]] {
            let disks = given_up(commits);
            let error = disks.open(&ALL).expect_err("each went on without the other");
            let next = error.next.expect("it leads on");
            assert!(next.contains("vgck --choose vg"), "{next}");
            let rivals = OpenVg::rivals_in(disks.scan(&ALL), "vg").expect("shown");
            let mut both = shown(&rivals);
            both.sort();
            assert_eq!(both, [(paths(&disks, &[0]), 1), (paths(&disks, &[1, 2]), 0)]);
            let rival = rivals.iter().find(|rival| rival.on == paths(&disks, chosen));
            let dropped = keep(&disks, &ALL, rival.expect("one of them"));
            let others: Vec<usize> = ALL.into_iter().filter(|at| !chosen.contains(at)).collect();
            assert_eq!(dropped, paths(&disks, &others));
            let mut vg = disks.open(&ALL).expect("settled");
            assert_eq!(vg.vg().lvs().len(), usize::from(chosen.len() == 1));
            assert!(vg.health().is_sound(), "{:?}", vg.health());
            vg.commit(|_| Ok(())).expect("it goes on");
        }
    }
}

#[test]
fn of_two_commits_that_were_cut_off_without_each_other_a_person_chooses_while_the_third_pv_is_missing()
 {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&ALL);
    make_lv(&mut vg, "one");
    drop(vg);
    let was = |at: usize| std::fs::read(disks.path(at)).expect("read");
    let (first, second) = (was(0), was(1));
    disks.open(&[0, 1]).expect("opened").commit(|_| Ok(())).expect("without the third");
    // The power failed when the second alone had it; so it did with another two.
    let without_the_third = was(1);
    std::fs::write(disks.path(0), &first).expect("written");
    std::fs::write(disks.path(1), &second).expect("written");
    disks.open(&[0, 2]).expect("opened").commit(|_| Ok(())).expect("without the second");
    std::fs::write(disks.path(0), &first).expect("written");
    std::fs::write(disks.path(1), &without_the_third).expect("written");
    // All three tell that neither stands.
    assert!(disks.open(&ALL).is_ok());
    let error = disks.open(&[1, 2]).expect_err("the first could hold either");
    assert_eq!(error.kind, Kind::Inconsistent);
    let rivals = OpenVg::rivals_in(disks.scan(&[1, 2]), "vg").expect("shown");
    assert_eq!(shown(&rivals), [(paths(&disks, &[1]), 1), (paths(&disks, &[2]), 1)]);
    assert_eq!(keep(&disks, &[1, 2], &rivals[1]), Vec::<PathBuf>::new());
    let mut vg = disks.open(&[1, 2]).expect("settled");
    assert_eq!(vg.missing().len(), 1);
    vg.commit(|_| Ok(())).expect("two of three go on");
    drop(vg);
    let mut vg = disks.open(&ALL).expect("the first is back");
    vg.commit(|_| Ok(())).expect("committed");
    assert!(disks.open(&ALL).expect("opened").health().is_sound());
}
