"""Systems of other people that belong into the comparison and cannot run here: named, with the reason, instead of left out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSystem:
    """A published talking-head system, and why the table has no figures of it."""

    name: str
    reference: str
    code: str
    status: str


NOT_INSTALLED = "not installed: its checkpoints are not fetched"

PUBLISHED = (
    PublishedSystem("SPACE", "Gururani et al., arXiv 2211.09809", "never released", "paper value: not transcribed"),
    PublishedSystem("Wav2Lip", "Prajwal et al., ACM MM 2020", "github.com/Rudrabha/Wav2Lip", NOT_INSTALLED),
    PublishedSystem("MakeItTalk", "Zhou et al., SIGGRAPH Asia 2020", "github.com/yzhou359/MakeItTalk", NOT_INSTALLED),
    PublishedSystem("PC-AVS", "Zhou et al., CVPR 2021", "github.com/Hangz-nju-cuhk/Talking-Face_PC-AVS", NOT_INSTALLED),
)
