"""Every service that KineBackup knows, by the real files of its client, its markers and its mounts.

Owns: one example of each client's own format. Does not know: verdicts.
"""

import importlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.drives.invented_computer import InventedComputer, practice_computer

from kinebackup.drives.clouds import services
from kinebackup.drives.clouds.description import SyncedFolder
from kinebackup.drives.clouds.detection import cloud_of, find_clouds
from kinebackup.drives.mount_table import parse_mountinfo
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import CloudMatch


@pytest.fixture
def computer(tmp_path: Path) -> InventedComputer:
    return practice_computer(tmp_path)


def certain(computer: InventedComputer) -> set[tuple[str, str]]:
    return {(folder.service, folder.path) for folder in find_clouds(computer.system) if folder.certain}


def doubtful(computer: InventedComputer) -> set[tuple[str, str]]:
    return {(folder.service, folder.path) for folder in find_clouds(computer.system) if not folder.certain}


def match_at(computer: InventedComputer, path: str) -> CloudMatch | None:
    mounts = parse_mountinfo("".join(f"{line}\n" for line in computer.mounts).encode())
    return cloud_of(path, mounts.of_path(path), find_clouds(computer.system), system=computer.system)


def database(computer: InventedComputer, path: str, *statements: str) -> None:
    place = computer.file(path)
    with closing(sqlite3.connect(place)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_one_file_is_all_that_a_new_service_takes() -> None:
    """Whatever describes a service is a module of services/, and each module there is registered with what it has."""
    folder = Path(services.__file__).parent
    product = folder.parents[2]
    describing = [path for path in product.rglob("*.py") if "CloudService(" in path.read_text("utf-8")]
    assert len(describing) >= 18
    assert {path.parent for path in describing} == {folder}
    for path in folder.glob("*.py"):
        if path.name != "__init__.py":
            described = importlib.import_module(f"{services.__name__}.{path.stem}").SERVICES
            assert described, path.name
            assert set(described) <= set(services.all_services()), path.name


def test_the_services_are_these() -> None:
    assert sorted({service.name for service in services.all_services()}) == [
        "9p",
        "AFP",
        "AFS",
        "Amazon S3 (Mountpoint)",
        "Amazon S3 (goofys)",
        "Amazon S3 (s3fs)",
        "Azure Blob Storage",
        "Ceph",
        "Coda, NCP",
        "Dropbox",
        "FTP",
        "GNOME (gvfs)",
        "GlusterFS",
        "Google Cloud Storage",
        "Google Drive",
        "IPFS",
        "Insync",
        "JuiceFS",
        "KDE (kio-fuse)",
        "Lustre",
        "MEGA",
        "MTP",
        "NFS",
        "Nextcloud",
        "OCFS2, GFS2, GPFS",
        "OneDrive",
        "OrangeFS",
        "QNAP Qsync",
        "Resilio Sync",
        "SMB",
        "SeaDrive",
        "Seafile",
        "Syncthing",
        "Synology Drive",
        "VirtualBox, VMware, Parallels",
        "WebDAV",
        "Yandex.Disk",
        "kDrive",
        "ownCloud",
        "pCloud",
        "rclone",
        "sshfs",
    ]


def test_a_computer_without_clouds_has_none(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/gtk-3.0/bookmarks", "file:///home/kine/Documents\n")
    assert find_clouds(computer.system) == []
    assert match_at(computer, "/home/kine/Documents") is None


# --- the configurations of the clients ---


def test_onedrive_keeps_its_folder_in_config(computer: InventedComputer) -> None:
    computer.file(
        "/home/kine/.config/onedrive/config",
        '# sync_dir = "~/OneDrive"\n# skip_file = "~*|.~*|*.tmp"\nsync_dir = "~/Cloud/OneDrive Pro"\n',
    )
    assert certain(computer) == {("OneDrive", "/home/kine/Cloud/OneDrive Pro")}


def test_onedrive_has_a_default_folder_and_several_accounts(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/onedrive/refresh_token", "not-a-token")
    computer.file("/home/kine/.config/onedrive-cabinet/config", "sync_dir = '/srv/cabinet'\n")
    assert certain(computer) == {("OneDrive", "/home/kine/OneDrive"), ("OneDrive", "/srv/cabinet")}


def test_onedrive_of_the_whole_computer(computer: InventedComputer) -> None:
    computer.file("/etc/onedrive/config", 'sync_dir = "~/Partage"\n')
    assert ("OneDrive", "/home/kine/Partage") in certain(computer)


def test_onedriver_names_its_mount_points(computer: InventedComputer) -> None:
    computer.directory("/home/kine/.cache/onedriver/home-kine-One\\x2dDrive")
    assert certain(computer) == {("OneDrive", "/home/kine/One-Drive")}


def test_dropbox_lists_its_accounts_in_info_json(computer: InventedComputer) -> None:
    computer.file(
        "/home/kine/.dropbox/info.json",
        '{"personal": {"path": "/home/kine/Dropbox", "host": 1, "is_team": false, "subscription_type": "Basic"}, '
        '"business": {"path": "/srv/Dropbox (Cabinet)", "host": 2, "is_team": true, "subscription_type": "Business"}}',
    )
    assert certain(computer) == {("Dropbox", "/home/kine/Dropbox"), ("Dropbox", "/srv/Dropbox (Cabinet)")}


def test_dropbox_that_is_not_linked_yet_has_its_default_folder(computer: InventedComputer) -> None:
    computer.directory("/home/kine/.dropbox/instance1")
    assert certain(computer) == {("Dropbox", "/home/kine/Dropbox")}


def test_maestral_keeps_its_folder_in_an_ini_file(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/maestral/maestral.ini", "[sync]\npath = /home/kine/Dropbox (Maestral)\n")
    assert certain(computer) == {("Dropbox", "/home/kine/Dropbox (Maestral)")}


def test_nextcloud_lists_its_folders(computer: InventedComputer) -> None:
    computer.file(
        "/home/kine/.config/Nextcloud/nextcloud.cfg",
        "[General]\nlaunchOnSystemStartup=true\n\n[Accounts]\n0\\Folders\\1\\ignoreHiddenFiles=false\n"
        "0\\Folders\\1\\journalPath=.sync_0123456789ab.db\n0\\Folders\\1\\localPath=/home/kine/Nextcloud/\n"
        "0\\Folders\\1\\paused=false\n0\\Folders\\1\\targetPath=/\n"
        '0\\FoldersWithPlaceholders\\2\\localPath="/home/kine/Cabinet, \\xe9t\\xe9/"\nversion=2\n',
    )
    assert certain(computer) == {("Nextcloud", "/home/kine/Nextcloud"), ("Nextcloud", "/home/kine/Cabinet, été")}


def test_nextcloud_from_flatpak_is_found(computer: InventedComputer) -> None:
    computer.file(
        "/home/kine/.var/app/com.nextcloud.desktopclient.nextcloud/config/Nextcloud/nextcloud.cfg",
        "[Accounts]\n0\\Folders\\1\\localPath=/home/kine/NC/\n",
    )
    assert certain(computer) == {("Nextcloud", "/home/kine/NC")}


@pytest.mark.parametrize(
    "config", ["/home/kine/.config/ownCloud/owncloud.cfg", "/home/kine/.local/share/data/ownCloud/owncloud.cfg"]
)
def test_owncloud_lists_its_folders(computer: InventedComputer, config: str) -> None:
    computer.file(config, "[Accounts]\n0\\Folders\\1\\localPath=/home/kine/ownCloud/\n0\\Folders\\1\\targetPath=/\n")
    assert certain(computer) == {("ownCloud", "/home/kine/ownCloud")}


def test_kdrive_lists_its_folders_in_a_database(computer: InventedComputer) -> None:
    database(
        computer,
        "/home/kine/.config/kDrive/.parms.db",
        "CREATE TABLE sync(dbId INTEGER PRIMARY KEY, driveDbId INTEGER, localPath TEXT, targetPath TEXT) WITHOUT ROWID",
        "INSERT INTO sync VALUES (1, 1, '/home/kine/kDrive', '')",
    )
    assert certain(computer) == {("kDrive", "/home/kine/kDrive")}


def test_a_folder_that_a_running_client_has_just_added_is_read_from_its_wal(computer: InventedComputer) -> None:
    place = computer.file("/home/kine/.config/kDrive/.parms.db")
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE sync(dbId INTEGER PRIMARY KEY, localPath TEXT)")
        connection.execute("INSERT INTO sync VALUES (1, '/home/kine/kDrive')")
        connection.commit()
        before = sorted(os.listdir(place.parent))
        assert certain(computer) == {("kDrive", "/home/kine/kDrive")}
        assert sorted(os.listdir(place.parent)) == before


@pytest.mark.parametrize(
    "config",
    [
        "/home/kine/.local/state/syncthing/config.xml",
        "/home/kine/.config/syncthing/config.xml",
        "/home/kine/.var/app/com.github.zocker_160.SyncThingy/.local/state/syncthing/config.xml",
    ],
)
def test_syncthing_lists_its_folders_and_a_template(computer: InventedComputer, config: str) -> None:
    computer.file(
        config,
        '<configuration version="37">\n'
        '    <folder id="zj2AA-q55a7" label="Patients &amp; co" path="~/Patients &amp; co" type="sendreceive" '
        'rescanIntervalS="3600">\n        <filesystemType>basic</filesystemType>\n    </folder>\n'
        '    <folder id="b" label="" path="/srv/sync/" type="receiveonly"></folder>\n'
        '    <defaults>\n        <folder id="" label="" path="~" type="sendreceive"></folder>\n    </defaults>\n'
        "</configuration>\n",
    )
    assert certain(computer) == {("Syncthing", "/home/kine/Patients & co"), ("Syncthing", "/srv/sync")}


def test_resilio_lists_shared_folders_with_comments(computer: InventedComputer) -> None:
    computer.file(
        "/etc/resilio-sync/config.json",
        '{\n  "device_name": "cabinet", // "http://x"\n/* folders */\n  "storage_path" : "/var/lib/resilio-sync/",\n'
        '  "shared_folders" :\n  [\n    {\n      "secret" : "none", // required\n'
        '      "dir" : "/home/kine/Resilio//Sync", // required\n      "use_tracker" : true,\n    }\n  ]\n}\n',
    )
    assert certain(computer) == {("Resilio Sync", "/home/kine/Resilio/Sync")}


def test_resilio_with_a_web_page_is_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/etc/resilio-sync/config.json", '{"webui": {"listen": "127.0.0.1:8888"}, "directory_root": "/home"}')
    assert certain(computer) == set()
    assert doubtful(computer) == {("Resilio Sync", "/home")}


def test_mega_encrypts_its_folders_so_they_are_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/home/kine/.local/share/data/Mega Limited/MEGAsync/MEGAsync.cfg", "[General]\n0a9b=AAAA\n")
    assert ("MEGA", "/home/kine/MEGA") in certain(computer)
    assert doubtful(computer) == {("MEGA", "/home/kine")}


def test_seafile_lists_its_libraries_in_its_data_directory(computer: InventedComputer) -> None:
    computer.file("/home/kine/.ccnet/seafile.ini", "/home/kine/Seafile/.seafile-data\n")
    database(
        computer,
        "/home/kine/Seafile/.seafile-data/repo.db",
        "CREATE TABLE RepoProperty (repo_id TEXT, key TEXT, value TEXT)",
        "INSERT INTO RepoProperty VALUES ('r', 'worktree', '/srv/library')",
        "INSERT INTO RepoProperty VALUES ('r', 'server-url', 'https://example.org')",
    )
    assert certain(computer) == {
        ("Seafile", "/srv/library"),
        ("Seafile", "/home/kine/Seafile"),
        ("Seafile", "/home/kine/seafile"),
    }


@pytest.mark.parametrize("name", ["Insync", "Insync-headless"])
def test_insync_is_to_be_checked(computer: InventedComputer, name: str) -> None:
    computer.directory(f"/home/kine/.config/{name}/live")
    assert certain(computer) == {("Insync", "/home/kine/Insync")}
    assert doubtful(computer) == {("Insync", "/home/kine")}


def test_google_drive_ocamlfuse_is_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/home/kine/.gdfuse/default/config", "mount_point=\n")
    assert doubtful(computer) == {("Google Drive", "/home/kine")}


def test_pcloud_lists_its_folders_in_a_database(computer: InventedComputer) -> None:
    database(
        computer,
        "/home/kine/.pcloud/data.db",
        "CREATE TABLE syncfolder (id INTEGER PRIMARY KEY, folderid INTEGER, localpath VARCHAR(4096), synctype INTEGER)",
        "INSERT INTO syncfolder VALUES (1, NULL, '/home/kine/Bilans', 3)",
    )
    assert certain(computer) == {("pCloud", "/home/kine/Bilans"), ("pCloud", "/home/kine/pCloudDrive")}


def test_rclone_with_a_remote_is_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/rclone/rclone.conf", "[icloud]\ntype = iclouddrive\n")
    assert doubtful(computer) == {("rclone", "/home/kine")}


def test_an_empty_rclone_configuration_says_nothing(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/rclone/rclone.conf", "\n")
    assert find_clouds(computer.system) == []


def test_a_folder_of_rclone_bisync_is_found(computer: InventedComputer) -> None:
    computer.directory("/home/kine/Patients")
    computer.file("/home/kine/.cache/rclone/bisync/home_kine_Patients..gdrive_Patients.path1.lst")
    assert certain(computer) == {("rclone", "/home/kine/Patients")}


def test_davfs2_lists_mount_points_in_secrets(computer: InventedComputer) -> None:
    computer.file("/etc/davfs2/secrets", '# x\n/home/kine/dav kine "a\nhttps://dav.example.org kine secret\n')
    assert certain(computer) == {("WebDAV", "/home/kine/dav")}


def test_synology_drive_and_qsync_are_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/home/kine/.SynologyDrive/data/db/sys.sqlite")
    computer.directory("/home/kine/.local/share/QNAP/Qsync")
    assert certain(computer) == {("Synology Drive", "/home/kine/SynologyDrive"), ("QNAP Qsync", "/home/kine/Qsync")}
    assert doubtful(computer) == {("Synology Drive", "/home/kine"), ("QNAP Qsync", "/home/kine")}


def test_yandex_disk_keeps_its_folder_in_config(computer: InventedComputer) -> None:
    computer.file("/home/kine/.config/yandex-disk/config.cfg", 'exclude-dirs="a"\ndir="/home/kine/Ya"\n')
    assert certain(computer) == {("Yandex.Disk", "/home/kine/Ya")}


# --- whose configuration is read ---


def test_every_login_user_is_read_and_no_service_account(computer: InventedComputer) -> None:
    computer.add_user("remplacante:x:1001:1001::/home/remplacante:/bin/bash")
    computer.add_user("www-data:x:33:33::/var/www:/usr/sbin/nologin")
    computer.add_user("nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin")
    for home in ("/root", "/home/kine", "/home/remplacante", "/var/www", "/home/annuaire"):
        computer.file(f"{home}/.dropbox/info.json", f'{{"personal": {{"path": "{home}/Dropbox"}}}}')
    assert certain(computer) == {
        ("Dropbox", "/root/Dropbox"),
        ("Dropbox", "/home/kine/Dropbox"),
        ("Dropbox", "/home/remplacante/Dropbox"),
        ("Dropbox", "/home/annuaire/Dropbox"),
    }


def test_the_home_and_configuration_of_the_session_are_read_too(computer: InventedComputer) -> None:
    computer.file("/tmp/home/.dropbox/info.json", '{"personal": {"path": "/tmp/home/Dropbox"}}')
    computer.file("/tmp/config/onedrive/config", 'sync_dir = "~/OD"\n')
    system = System(computer.system.root, homes=("/tmp/home",), config_dirs=("/tmp/config",))
    assert {(folder.service, folder.path) for folder in find_clouds(system)} == {
        ("Dropbox", "/tmp/home/Dropbox"),
        ("OneDrive", "/tmp/home/OD"),
    }


def test_a_synchronised_folder_that_is_a_link_is_known_by_where_it_leads(computer: InventedComputer) -> None:
    computer.directory("/data/cloud")
    computer.link("/home/kine/Dropbox", "/data/cloud")
    computer.file("/home/kine/.dropbox/info.json", '{"personal": {"path": "/home/kine/Dropbox"}}')
    assert certain(computer) == {("Dropbox", "/data/cloud")}


def test_a_computer_without_passwd_reads_the_homes_that_are_there(computer: InventedComputer) -> None:
    (computer.root / "etc/passwd").unlink()
    computer.file("/home/kine/.dropbox/info.json", '{"personal": {"path": "/home/kine/Dropbox"}}')
    assert certain(computer) == {("Dropbox", "/home/kine/Dropbox")}


# --- what cannot be read is to be checked ---


@pytest.mark.parametrize(
    ("path", "text", "service"),
    [
        (".dropbox/info.json", "{", "Dropbox"),
        (".dropbox/info.json", "[]", "Dropbox"),
        (".dropbox/info.json", '{"personal": {}}', "Dropbox"),
        (".dropbox/info.json", "[" * 100_000, "Dropbox"),
        (".config/syncthing/config.xml", "<configuration>", "Syncthing"),
        (".config/syncthing/config.xml", '<!DOCTYPE x [<!ENTITY a "b">]><configuration/>', "Syncthing"),
        (".config/kDrive/.parms.db", "encrypted, or no database at all", "kDrive"),
        (".config/onedrive/config", "x" * 5_000_000, "OneDrive"),
    ],
)
def test_a_configuration_that_is_not_understood_is_to_be_checked(
    computer: InventedComputer, path: str, text: str, service: str
) -> None:
    computer.file(f"/home/kine/{path}", text)
    assert certain(computer) == set()
    assert doubtful(computer) == {(service, "/home/kine")}


def test_a_pipe_in_the_place_of_a_configuration_hangs_nobody(computer: InventedComputer) -> None:
    place = computer.directory("/home/kine/.dropbox")
    os.mkfifo(place / "info.json")
    assert doubtful(computer) == {("Dropbox", "/home/kine")}


def test_a_view_that_never_ends_hangs_nobody(computer: InventedComputer) -> None:
    database(
        computer,
        "/home/kine/.config/kDrive/.parms.db",
        "CREATE VIEW sync AS WITH RECURSIVE n(localPath) AS (SELECT 1 UNION ALL SELECT localPath + 1 FROM n) "
        "SELECT count(*) AS localPath FROM n",
    )
    assert doubtful(computer) == {("kDrive", "/home/kine")}


def test_a_link_to_a_device_in_the_place_of_a_configuration_is_not_read(computer: InventedComputer) -> None:
    computer.directory("/home/kine/.dropbox")
    os.symlink("/dev/zero", computer.root / "home/kine/.dropbox/info.json")
    assert doubtful(computer) == {("Dropbox", "/home/kine")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every home")
def test_a_home_that_may_not_be_read_is_to_be_checked(computer: InventedComputer) -> None:
    computer.directory("/home/kine").chmod(0)
    assert doubtful(computer) == {("", "/home/kine")}


# --- markers ---


@pytest.mark.parametrize(
    ("marker", "service"),
    [
        ("/.dropbox", "Dropbox"),
        ("/.dropbox.cache/", "Dropbox"),
        ("/.sync_0123456789ab.db", "Nextcloud"),
        ("/._sync_0123456789ab.db", "Nextcloud"),
        ("/.csync_journal.db", "ownCloud"),
        ("/.stfolder/", "Syncthing"),
        ("/.stfolder", "Syncthing"),
        ("/.stignore", "Syncthing"),
        ("/.sync/ID", "Resilio Sync"),
        ("/.sync/IgnoreList", "Resilio Sync"),
        ("/.megaignore", "MEGA"),
        ("/.tmp.driveupload/", "Google Drive"),
        ("/.tmp.drivedownload/", "Google Drive"),
    ],
)
def test_a_marker_in_any_parent_gives_the_service_away(computer: InventedComputer, marker: str, service: str) -> None:
    if marker.endswith("/"):
        computer.directory(f"/data{marker}")
    else:
        computer.file(f"/data{marker}")
    for path in ("/data", "/data/backups", "/data/a/b/c/d"):
        match = match_at(computer, path)
        assert match is not None
        assert (match.service, match.path, match.certain) == (service, "/data", True)
    assert match_at(computer, "/database") is None


@pytest.mark.parametrize("name", ["/.dropbox/", "/.sync/", "/.sync/other", "/.sync_x.db/", "/dropbox", "/.stignore/"])
def test_what_only_looks_like_a_marker_is_none(computer: InventedComputer, name: str) -> None:
    if name.endswith("/"):
        computer.directory(f"/data{name}")
    else:
        computer.file(f"/data{name}")
    assert match_at(computer, "/data/x") is None


def test_nosync_alone_is_to_be_checked(computer: InventedComputer) -> None:
    computer.file("/data/.nosync")
    match = match_at(computer, "/data/x")
    assert match is not None
    assert (match.service, match.certain) == ("OneDrive", False)


# --- mounts ---


@pytest.mark.parametrize(
    ("filesystem", "source", "service", "kind"),
    [
        ("fuse.onedriver", "onedriver", "OneDrive", "cloud"),
        ("fuse.google-drive-ocamlfuse", "google-drive-ocamlfuse", "Google Drive", "cloud"),
        ("fuse.gvfsd-fuse", "gvfsd-fuse", "GNOME (gvfs)", "cloud"),
        ("fuse.kio-fuse", "kio-fuse", "KDE (kio-fuse)", "cloud"),
        ("fuse", "pCloud.fs", "pCloud", "cloud"),
        ("fuse.pcloud", "pCloud.fs", "pCloud", "cloud"),
        ("fuse.rclone", "icloud:", "rclone", "cloud"),
        ("fuse.s3fs", "s3fs", "Amazon S3 (s3fs)", "cloud"),
        ("fuse.goofys", "bucket", "Amazon S3 (goofys)", "cloud"),
        ("davfs", "https://dav.example.org/", "WebDAV", "cloud"),
        ("fuse", "https://dav.example.org/", "WebDAV", "cloud"),
        ("fuse", "http://dav.example.org/", "WebDAV", "cloud"),
        ("fuse.seadrive", "seadrive", "SeaDrive", "cloud"),
        ("fuse.sshfs", "kine@host:/srv", "sshfs", "network"),
        ("cifs", "//nas/share", "SMB", "network"),
        ("smb3", "//nas/share", "SMB", "network"),
        ("unheard-of", "//nas/share", "SMB", "network"),
        ("nfs", "nas:/export", "NFS", "network"),
        ("nfs4", "[fe80::1]:/export", "NFS", "network"),
        ("unheard-of", "nas.local:/export", "NFS", "network"),
        ("fuse.afpfs", "afpfs", "AFP", "network"),
        ("9p", "share", "9p", "network"),
        ("ceph", "10.0.0.1:6789:/", "Ceph", "network"),
        ("fuse.glusterfs", "host:/volume", "GlusterFS", "network"),
        ("vboxsf", "share", "VirtualBox, VMware, Parallels", "network"),
    ],
)
def test_a_mount_is_known_by_its_type_or_source(
    computer: InventedComputer, filesystem: str, source: str, service: str, kind: str
) -> None:
    computer.mount(f"40 20 0:70 / /mnt/x rw - {filesystem} {source} rw")
    match = match_at(computer, "/mnt/x/backup")
    assert match is not None
    assert (match.service, match.kind, match.certain) == (service, kind, True)


@pytest.mark.parametrize(
    ("filesystem", "source"),
    [
        ("ext4", "/dev/sdb1"),
        ("fuseblk", "/dev/sdb1"),
        ("tmpfs", "tmpfs"),
        ("overlay", "overlay"),
        ("zfs", "tank/data"),
        ("btrfs", "/dev/mapper/luks-1"),
        ("fuse.gocryptfs", "/home/kine/.secret"),
    ],
)
def test_a_local_mount_is_no_cloud(computer: InventedComputer, filesystem: str, source: str) -> None:
    computer.mount(f"40 20 0:70 / /mnt/x rw - {filesystem} {source} rw")
    assert match_at(computer, "/mnt/x/backup") is None


def test_google_drive_below_gvfs_is_named(computer: InventedComputer) -> None:
    computer.mount("40 20 0:70 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw")
    match = match_at(computer, "/run/user/1000/gvfs/google-drive:host=gmail.com,user=kine/Sauvegardes")
    assert match is not None
    assert match.service == "Google Drive"


def test_a_path_of_gvfs_is_known_without_its_mount(computer: InventedComputer) -> None:
    match = match_at(computer, "/run/user/1000/gvfs/smb-share:server=nas,share=x")
    assert match is not None
    assert match.service == "GNOME (gvfs)"


def test_nothing_is_read_on_an_unknown_fuse_filesystem(computer: InventedComputer) -> None:
    computer.mount("40 20 0:70 / /mnt/x rw - fuse.unheard-of x rw")
    computer.file("/mnt/x/.dropbox")
    assert match_at(computer, "/mnt/x") is None


def test_a_certain_folder_outweighs_a_doubtful_one() -> None:
    folders = [
        SyncedFolder("Insync", "/nowhere", "a", certain=False),
        SyncedFolder("kDrive", "/nowhere/kDrive", "b"),
    ]
    inside, beside = cloud_of("/nowhere/kDrive/x", None, folders), cloud_of("/nowhere/y", None, folders)
    assert inside == CloudMatch("kDrive", "cloud", "/nowhere/kDrive", "b", certain=True)
    assert beside == CloudMatch("Insync", "cloud", "/nowhere", "a", certain=False)
