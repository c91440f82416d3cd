"""Places: what a path says wherever it is read, files that appear whole, and paths relative to a root."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyarrow import fs

from space_data.errors import SpaceError
from space_data.store import MOST_BRANCHES, PARTED_LEVELS, LocalFile, Place, _paths_in, below, local_file, located, written


@dataclass(frozen=True)
class Row:
    video: str
    audio: str
    note: str = ""


def test_a_place_is_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place.of("data/clips")
    assert place == Place.of(Path("data/clips")) == Place.of(tmp_path / "data" / ".." / "data" / "clips") == Place.of(place)
    assert (place.uri, os.fspath(place)) == (f"{tmp_path}/data/clips", f"{tmp_path}/data/clips")
    monkeypatch.chdir("/")
    assert place.local() == tmp_path / "data/clips" != Place.of("data/clips").local()


@pytest.mark.parametrize("address", ["gcs://bucket/out", "S3://bucket/out", "https://example.org/clips", "file:///clips"])
def test_an_address_of_another_kind_is_no_local_folder(address: str) -> None:
    with pytest.raises(SpaceError, match=f"^{address}: not a known kind of store, need s3:// or gs:// or a path"):
        Place.of(address)


def test_messages_show_a_place_as_seen_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(Place.of(path)) for path in ("a/b", "../b", tmp_path)] == ["a/b", f"{tmp_path.parent}/b", str(tmp_path)]
    assert str(Place.of("s3://bucket/a?endpoint_override=localhost:9000")) == "s3://bucket/a"


def test_parts_of_a_place_keep_the_options_of_its_store() -> None:
    options = "?endpoint_override=localhost:9000"
    place = Place.of(f"s3://bucket/set/{options}")
    assert place / "a/b.mp4" == Place(f"s3://bucket/set/a/b.mp4{options}")
    assert ((place / "a/b.mp4").parent, (place / "a/b.mp4").name) == (Place(f"s3://bucket/set/a{options}"), "b.mp4")
    assert (place / "a").path == "bucket/set/a"
    with pytest.raises(SpaceError, match="^s3://bucket/set/: lies in a bucket, need a local folder$"):
        os.fspath(place)


def test_rows_get_whole_paths_and_give_them_back(tmp_path: Path) -> None:
    row, root = Row("a/1.mp4", "", "a/1.mp4"), Place.of(tmp_path)
    whole = located(row, root, "video", "audio")
    assert whole == Row(f"{tmp_path}/a/1.mp4", "", "a/1.mp4"), "an empty path stays empty, other fields as they are"
    assert (below(whole.video, root), below(whole.audio, root)) == (row.video, row.audio)
    assert below(whole.video, root / "a/1") == whole.video, "what lies elsewhere stays whole"
    assert located(Row("s3://far/1.mp4", "", ""), root, "video").video == "s3://far/1.mp4"
    assert located(Row("/far/1.mp4", "", ""), root, "video").video == "/far/1.mp4"
    with pytest.raises(SpaceError, match=f"^video {tmp_path}/a/1.mp4: a whole path in a table, need a/1.mp4, relative to "):
        located(whole, root, "audio", "video")
    bucket = Place("s3://bucket/set?region=x")
    uri = located(row, bucket, "video").video
    assert uri == "s3://bucket/set/a/1.mp4?region=x" and below(uri, bucket) == row.video


def test_a_local_file_opens_by_its_path_and_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    file = local_file(str(tmp_path / "a.mp4"))
    assert file == LocalFile(str(tmp_path / "a.mp4"), "a.mp4")
    assert (os.fspath(file), str(file), f"{file}: broken") == (str(tmp_path / "a.mp4"), "a.mp4", "a.mp4: broken")
    with open(file, "rb") as stream:
        assert stream.read() == b"video"


def test_what_is_written_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = Place.of(tmp_path) / "new/folder/table"
    with written(place) as part:
        part.write_bytes(b"one")
        assert not place.is_file()
    assert place.read() == b"one" and place.parent.files() == [place]
    with pytest.raises(RuntimeError, match="in the middle"), written(place) as part:
        part.write_bytes(b"half of")
        raise RuntimeError("in the middle")
    assert place.read() == b"one"
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["table"], "nothing half-written is left"


def test_what_is_put_replaces_what_was_there(tmp_path: Path) -> None:
    place = Place.of(tmp_path) / "a/b"
    place.put(b"first")
    (tmp_path / "other").write_bytes(b"second, from a file")
    place.put(tmp_path / "other")
    assert (place.read(), place.read(6), place.size()) == (b"second, from a file", b"second", 19)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    place.delete()
    place.delete()  # already gone: fine
    assert not place.is_file()


def test_sizes_are_those_of_files(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "two").write_bytes(b"ab")
    (tmp_path / "link").symlink_to("two")
    assert [(Place.of(tmp_path) / name).size() for name in ("empty", "two", "link")] == [0, 2, 2]
    with pytest.raises(FileNotFoundError) as error:
        (Place.of(tmp_path) / "none").size()
    assert error.value.filename == str(tmp_path / "none")


def test_a_folder_is_empty_until_something_lies_in_it(tmp_path: Path) -> None:
    place = Place.of(tmp_path) / "out"
    assert place.is_empty() and not place.is_folder()
    (tmp_path / "out").mkdir()
    assert place.is_empty() and place.is_folder()
    (tmp_path / "out" / ".hidden").touch()
    assert not place.is_empty(), "a hidden file is someone's, too"


def test_files_are_listed_in_order_without_half_written_ones(tmp_path: Path) -> None:
    for name in ("b.parquet", "a/c.parquet", "a.parquet", "a.json", ".x.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    root = Place.of(tmp_path)
    assert root.files(".parquet") == [root / "a.parquet", root / "b.parquet"]
    assert root.files(".parquet", below=True) == [root / "a.parquet", root / "a/c.parquet", root / "b.parquet"]
    assert (root / "none").files() == []


@pytest.mark.parametrize("branches", [MOST_BRANCHES, MOST_BRANCHES + 1])
def test_a_tree_of_large_branches_is_listed_branch_by_branch(tmp_path: Path, branches: int) -> None:
    """What the store says of a million files at a time would fill the memory."""
    for branch in range(branches):
        for name in ("a/b/c/d/1.mp4", "a/b/2.mp4", "3.mp4", ".hidden.mp4"):
            file = tmp_path / f"branch{branch:02d}" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "4.mp4").touch()
    found = Place.of(tmp_path).names(below=True)
    assert found == sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("[!.]*.mp4"))
    assert Place.of(tmp_path).names() == ["4.mp4"]
    answers: list[int] = []

    class Watched:
        type_name = "local"

        def get_file_info(self, chosen: fs.FileSelector) -> list[fs.FileInfo]:
            answer = fs.LocalFileSystem().get_file_info(chosen)
            answers.append(len(answer))
            return answer

    assert len(list(_paths_in(Watched(), str(tmp_path), PARTED_LEVELS))) == 4 * branches + 1  # type: ignore[arg-type]
    assert (max(answers) < 4 * branches) == (branches <= MOST_BRANCHES)


def test_links_are_followed_to_compare_folders(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to("set")
    assert Place.of(tmp_path / "link").resolved() == Place.of(tmp_path / "set").resolved()
    assert Place.of(tmp_path / "link") != Place.of(tmp_path / "set")


def test_another_endpoint_in_the_environment_is_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    place = Place("s3://bucket/key?region=us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    first = place.filesystem
    assert place.filesystem is first, "made once"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert place.filesystem is not first
