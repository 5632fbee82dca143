"""Write the test vectors again: ``python tests/vectors/make_vectors.py``.

Owns: which files stand where below tests/vectors/, as README.md there describes. Does not know: what is in them.
"""

import base64
import json
import shutil
import zlib
from pathlib import Path

from vectors.vector_cases import Case, all_cases
from vectors.vector_good import build_good
from vectors.vector_plans import CODE, PASSPHRASE, Plan, build, code_symbols, header_members
from vectors.vector_stages import stages
from vectors.vector_writer import THIS, Frame, Json, argon2, digest, hkdf

HERE = Path(__file__).parent


def write_tree(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, raw in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def described(case: Case, base: dict[str, bytes]) -> Json:
    """A case as a difference from ``base/``."""
    made: Json = {"name": case.name, "layer": case.layer, "section": case.section, "rule": case.rule, "base": "base"}
    made |= {"secret": case.secret, "refused": case.refused, "exit": case.exit, "restored": case.restored}
    made["remove"] = sorted(path for path in base if path not in case.files)
    made["write"] = {path: packed(raw) for path, raw in sorted(case.files.items()) if base.get(path) != raw}
    if case.header_from:
        made["header_from"] = packed(case.header_from)
    return made


def keys(good_files: dict[str, bytes]) -> Json:
    """Every key on the way from a secret to the first record of each file."""
    labels = ("sealing", "blob id data", "blob id tree", "blob id list", "chunker", "header mac", "commitment")
    slots = header_members()["slots"]
    salts = [bytes.fromhex(slot["salt"]) for slot in slots]
    slot_keys = [argon2(PASSPHRASE.encode(), salts[0], 64, 1, 2)]
    slot_keys.append(hkdf(code_symbols(CODE), b"kinebackup v1 recovery", salts[1]))
    slot_keys.append(hkdf(digest("machine key"), b"kinebackup v1 machine", salts[2]))
    made: Json = {"passphrase": PASSPHRASE, "code": CODE, "machine_key": digest("machine key").hex()}
    made |= {"master": THIS.master.hex(), "practice": THIS.practice.hex(), "repository": THIS.repository.hex()}
    made["sub_keys"] = {label: THIS.sub_key(label).hex() for label in labels}
    made["commitment"] = THIS.commitment.hex()
    made["slot_keys"] = {slot["id"]: key.hex() for slot, key in zip(slots, slot_keys, strict=True)}
    types = {"packs": b"P", "index": b"I", "snapshots": b"S", "removals": b"R"}
    made["file_keys"] = {}
    for path, raw in sorted(good_files.items()):
        folder = path.split("/")[1]
        if folder in types and len(path.rsplit("/", 1)[1]) == 64:
            made["file_keys"][path] = Frame(types[folder], raw[16:48]).file_key.hex()
    return made


def main() -> None:
    good, base = build_good(), build(Plan()).files
    write_tree(HERE / "good", good.files)
    write_tree(HERE / "base", base)
    write_json(HERE / "keys.json", keys(good.files))
    write_json(HERE / "stages.json", stages())
    write_json(HERE / "expected.json", {"packs": good.packs, "snapshots": good.expected})
    shutil.rmtree(HERE / "bad", ignore_errors=True)
    for case in all_cases():
        target = HERE / "bad" / f"{case.name}.json"
        if target.exists():
            raise SystemExit(f"two cases are called {case.name}")
        write_json(target, described(case, base))


if __name__ == "__main__":
    main()
