"""A Space that shows a published model: a folder with the page, what it needs, and a card."""

from __future__ import annotations

from pathlib import Path

GRADIO = "6.31.0"  # what the page was tested with
REQUIREMENTS = "torch\ntransformers>=5.11,<6\ntimm>=1.0.24\npillow\n"


def write_space(folder: str | Path, repo_id: str) -> list[Path]:
    """Write the folder of a Space for a model on the Hub; `hf upload SPACE FOLDER --repo-type space` sends it.

    Args:
        folder: created; one that holds other files is refused.
        repo_id: of the model, as owner/name. The Space runs the code that the model brings.

    Returns:
        The files.

    Raises:
        ValueError: the folder holds files that are not those of a Space.
    """
    folder = Path(folder)
    page = (Path(__file__).parent / "space_app.py").read_text(encoding="utf-8")
    placeholder = 'os.environ.get("MODEL", "")'
    if page.count(placeholder) != 1:
        raise ValueError("space_app.py does not name its model in one place.")
    name = repo_id.split("/")[-1]
    card = (
        f"---\ntitle: {name}\nsdk: gradio\nsdk_version: {GRADIO}\napp_file: app.py\nmodels:\n- {repo_id}\n---\n\n"
        f"Try [{repo_id}](https://huggingface.co/{repo_id}): drop a picture, see its labels, move the threshold, see "
        "where a label was looked for.\n"
    )
    files = {
        "app.py": page.replace(placeholder, f'os.environ.get("MODEL", "{repo_id}")'),
        "requirements.txt": REQUIREMENTS,
        "README.md": card,
    }
    if folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - set(files))):
        raise ValueError(f"{folder} holds {others[0]}, which is not part of a Space; give a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in files]
