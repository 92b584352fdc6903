"""Install, upgrade and back up as the pages say, on a machine of its own; by root and by the service's account."""

import re
from collections.abc import Iterator

import pytest

from tests.guide import CHECKOUT, TOP, Machine, machine

BLOCK = re.compile(r"^## ([^\n]*)\n(?:(?!## )[^\n]*\n)*?```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
GUIDE = {
    title: block
    for page in ("install.md", "backup.md")
    for title, block in BLOCK.findall((TOP / "deploy" / "docs" / page).read_text("utf-8"))
}
FOREIGN = "find /var/lib/ctsftp /etc/ctsftp ! -user ctsftp ! -name ctsftp.toml"
AS_CTSFTP = "runuser -u ctsftp -- "

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed() -> Iterator[Machine]:
    """The machine after the guide's install, whose server has any free ports and knows the name that senders use."""
    with machine() as made:
        settings = f"{CHECKOUT}/deploy/ctsftp.toml"
        made.sh(f"printf 'public_host = \"sftp.example.com\"\nport = 0\n[http]\nport = 0\n' >> {settings}")
        made.sh(GUIDE["Install"], home=CHECKOUT)
        made.sh("install -d -o nobody -m 0750 /home/admin && ssh-keygen -q -t ed25519 -N '' -f /root/acme")
        yield made


def nothing_is_root_s(machine: Machine) -> None:
    assert machine.sh(FOREIGN).stdout == ""


def test_root_uses_every_command_from_its_home_while_the_server_runs(installed: Machine) -> None:
    done = installed.sh("ctsftp client add acme --key acme.pub")
    assert "Working as ctsftp, the account that owns /etc/ctsftp/keys." in done.stderr
    installed.sh("ctsftp doctor; ctsftp client show acme; ctsftp sweep; ctsftp token add shop; ctsftp client list")
    nothing_is_root_s(installed)


@pytest.mark.parametrize("home", ["/root", "/home/admin"])
def test_the_service_s_account_uses_commands_from_folders_that_it_cannot_enter(installed: Machine, home: str) -> None:
    for command in ("doctor", "client list", "segment list", "sweep"):
        assert "Permission denied" not in installed.sh(f"{AS_CTSFTP}ctsftp {command}", home=home, check=False).stderr
    installed.sh(f"{AS_CTSFTP}ctsftp segment list", home=home)
    installed.sh("if command -v sudo >/dev/null; then sudo -u ctsftp ctsftp sweep && sudo ctsftp sweep; fi", home=home)


def test_where_a_folder_is_gone_commands_work_all_the_same(installed: Machine) -> None:
    installed.sh("mkdir /tmp/gone && cd /tmp/gone && rmdir /tmp/gone && ctsftp segment list")


def test_the_backup_and_the_upgrade_run_as_written(installed: Machine) -> None:
    installed.sh(GUIDE["Back up"])
    installed.sh(GUIDE["Upgrade"].replace("pip install --upgrade", "pip install --no-deps --upgrade"), home=CHECKOUT)
    found = installed.sh("ls -l /var/backups/ctsftp; stat -c '%U %a' /var/backups/ctsftp/*.db").stdout
    assert "root 600" in found
    installed.sh("ctsftp backup - | head -c 15 | grep -q 'SQLite format 3'")
    nothing_is_root_s(installed)


def test_what_root_does_while_no_server_runs_does_not_shut_it_out(installed: Machine) -> None:
    installed.sh("systemctl stop ctsftp")
    try:
        installed.sh("rm -rf /var/lib/ctsftp/*")
        done = installed.sh(
            "ctsftp token add late; ctsftp doctor || true; ctsftp backup /root/copy.db; ls /root/copy.db"
        )
        assert done.stderr.count("Working as ctsftp, the account that owns /var/lib/ctsftp.") == 3
        installed.sh("printf 'CTUserID\n1\n' > /root/VIP_20260310_0900.csv")
        installed.sh("ctsftp check VIP_20260310_0900.csv --client acme; ctsftp client disable acme")
        installed.sh("ctsftp client enable acme; ctsftp key list acme")
        nothing_is_root_s(installed)
    finally:
        installed.sh("systemctl start ctsftp")
    nothing_is_root_s(installed)
    installed.sh("ctsftp token list | grep -q late")
