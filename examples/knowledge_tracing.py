"""Deep Knowledge Tracing (Piech et al. 2015) with a recurrent network of nmt's cells, on simulated students.

    python examples/knowledge_tracing.py                  # less than a minute on one CPU core
    python examples/knowledge_tracing.py --cell gru       # any cell of nmt

From the exercises that a student has done, and whether each answer was right, the network predicts the next answer. The
students are simulated, so that the best possible prediction can be computed: the program prints the area under the ROC
curve (AUC) of both. ``knowledge_tracing.png`` shows what one student seems to know after each exercise.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.networks.recurrence import Recurrence, StackOptions
from nmt.plotting.style import INK, Picture, draw_cells, draw_colour_bar, style

Floats = npt.NDArray[np.float64]
SKILLS = ("counting", "sums", "products", "fractions", "equations", "functions")
"""In the order in which they build on each other: K skills."""
FIRST, READY, UNREADY = 0.15, 0.3, 0.02
"""Probabilities: to know a skill at first; to learn it from an exercise if the skill before is known, and if not."""
SLIP, GUESS = 0.08, 0.2
"""Probabilities of a wrong answer with the skill, and of a right one without it."""


@dataclass(frozen=True)
class Answers:
    """What N students did in T exercises."""

    skill_NT: npt.NDArray[np.int64]
    is_right_NT: npt.NDArray[np.bool_]
    knows_NTK: npt.NDArray[np.bool_]
    """What each student knew before each exercise, which nobody sees."""


def simulate(num_students: int, num_exercises: int, rng: np.random.Generator) -> Answers:
    """Simulates students. An exercise asks for a skill, mostly for that of the exercise before or a neighbour of it."""
    rows, num_skills = np.arange(num_students), len(SKILLS)
    knows_NK = rng.random((num_students, num_skills)) < FIRST
    skill_N = rng.integers(0, num_skills, num_students)
    skills, answers, known = [], [], []
    for _ in range(num_exercises):
        moved_N = (skill_N + rng.integers(-1, 2, num_students)).clip(0, num_skills - 1)
        skill_N = np.where(rng.random(num_students) < 0.5, moved_N, skill_N)
        skill_N = np.where(rng.random(num_students) < 0.1, rng.integers(0, num_skills, num_students), skill_N)
        known.append(knows_NK.copy())
        skills.append(skill_N)
        answers.append(rng.random(num_students) < np.where(knows_NK[rows, skill_N], 1 - SLIP, GUESS))
        is_ready_N = (skill_N == 0) | knows_NK[rows, skill_N - 1]
        knows_NK[rows, skill_N] |= rng.random(num_students) < np.where(is_ready_N, READY, UNREADY)
    return Answers(np.stack(skills, 1), np.stack(answers, 1), np.stack(known, 1))


def exact_predictions(answers: Answers) -> Floats:
    """Returns the probability of a right answer in each skill before each exercise, given all answers before: the
    forward algorithm over all 2^K sets of skills, with the simulator's own probabilities. [N, T, K]"""
    num_students, num_exercises = answers.skill_NT.shape
    sets = np.arange(2 ** len(SKILLS))
    has_ZK = (sets[:, None] >> np.arange(len(SKILLS)) & 1).astype(bool)
    belief_NZ = np.tile(np.where(has_ZK, FIRST, 1 - FIRST).prod(1), (num_students, 1))
    is_ready_ZK = np.roll(has_ZK, 1, axis=1)
    is_ready_ZK[:, 0] = True
    learn_ZK = np.where(is_ready_ZK, READY, UNREADY)
    right_ZK = np.where(has_ZK, 1 - SLIP, GUESS)
    predicted = []
    for step in range(num_exercises):
        predicted.append(belief_NZ @ right_ZK)
        for skill in range(len(SKILLS)):
            rows = answers.skill_NT[:, step] == skill
            likely_NZ = np.where(answers.is_right_NT[rows, step, None], right_ZK[:, skill], 1 - right_ZK[:, skill])
            part_NZ = belief_NZ[rows] * likely_NZ
            lacks_Z = ~has_ZK[:, skill]
            moved_NZ = part_NZ[:, lacks_Z] * learn_ZK[lacks_Z, skill]
            part_NZ[:, lacks_Z] -= moved_NZ
            part_NZ[:, sets[lacks_Z] | 1 << skill] += moved_NZ
            belief_NZ[rows] = part_NZ / part_NZ.sum(1, keepdims=True)
    return np.stack(predicted, 1)


class Tracer(nn.Module):
    """Reads a pair of skill and answer in each step; gives the logit of a right next answer in each skill."""

    def __init__(self, cell: str, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2 * len(SKILLS), hidden_size)
        self.recurrence = Recurrence(StackOptions(cell={"type": cell}, hidden_size=hidden_size), hidden_size)
        self.output = nn.Linear(hidden_size, len(SKILLS))
        self.first_K = nn.Parameter(torch.zeros(len(SKILLS)))

    def forward(self, skill_NT: Tensor, is_right_NT: Tensor) -> Tensor:
        """Logits before each exercise, given the answers before it. [N, T, K]"""
        hidden_NTD, _ = self.recurrence(self.embedding(2 * skill_NT + is_right_NT)[:, :-1])
        return torch.cat((self.first_K.expand(len(skill_NT), 1, -1), self.output(hidden_NTD)), dim=1)


def train(answers: Answers, cell: str, updates: int) -> Tracer:
    """Trains on the cross-entropy of the answers, as equation 3 of the paper."""
    skill_NT, right_NT = torch.from_numpy(answers.skill_NT), torch.from_numpy(answers.is_right_NT).long()
    model = Tracer(cell, hidden_size=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for update in range(1, updates + 1):
        rows = torch.randint(len(skill_NT), (100,))
        logits_NTK = model(skill_NT[rows], right_NT[rows])
        logits_NT = logits_NTK.gather(2, skill_NT[rows][:, :, None])[:, :, 0]
        loss = F.binary_cross_entropy_with_logits(logits_NT, right_NT[rows].float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if update % 200 == 0:
            print(f"update {update}: loss {loss.item():.3f}", flush=True)
    return model


def auc(scores: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """Returns the probability that a right answer has a higher score than a wrong one; ties count half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    num_right, num_wrong = labels.sum(), (~labels).sum()
    return float((ranks[labels].sum() - num_right * (num_right + 1) / 2) / (num_right * num_wrong))


def plot(predicted_TK: Floats, exact_TK: Floats, answers: Answers, student: int) -> Picture:
    """Draws the heat maps of the network and of the best possible prediction. A dot marks the skill of each exercise:
    a filled one if the answer was right. A line marks where the simulated student learned a skill."""
    skill_T, is_right_T = answers.skill_NT[student], answers.is_right_NT[student]
    num_exercises = len(skill_T)
    with style(SKILLS):
        figure = Picture(figsize=(0.2 * num_exercises, 3.4))
        titles = ("the network: probability of a right answer", "the best possible prediction")
        for axes, title, values_TK in zip(figure.subplots(2, 1), titles, (predicted_TK, exact_TK), strict=True):
            draw_cells(axes, values_TK.T, rows=SKILLS)
            axes.set_title(title)
            for skill, knows_T in enumerate(answers.knows_NTK[student].T):
                if knows_T.any():
                    axes.vlines(knows_T.argmax(), skill, skill + 1, colors="#d55e00", linewidth=2.5)
            colours = ["#d55e00" if is_right else "white" for is_right in is_right_T]
            places = np.arange(num_exercises) + 0.5, skill_T + 0.5
            axes.scatter(*places, s=22, c=colours, edgecolors=INK, linewidths=0.8, zorder=3)
        draw_colour_bar(axes, "probability", num_exercises)
        axes.set_xlabel("exercises →")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="lstm", help="a cell of nmt, such as lstm, gru or rnn_tanh")
    parser.add_argument("--students", type=int, default=4000, metavar="N", help="simulated for training")
    parser.add_argument("--updates", type=int, default=600, metavar="N")
    parser.add_argument("--output", type=Path, default=Path("knowledge_tracing.png"), metavar="FILE")
    options = parser.parse_args()
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    test = simulate(1000, 50, rng)
    model = train(simulate(options.students, 50, rng), options.cell, options.updates)
    with torch.no_grad():
        logits_NTK = model(torch.from_numpy(test.skill_NT), torch.from_numpy(test.is_right_NT).long())
    predicted_NTK, exact_NTK = logits_NTK.double().sigmoid().numpy(), exact_predictions(test)
    asked = test.skill_NT[:, :, None]
    for name, values_NTK in (("network", predicted_NTK), ("best possible", exact_NTK)):
        scores = np.take_along_axis(values_NTK, asked, 2)
        print(f"AUC of 1,000 new students, {name}: {auc(scores.ravel(), test.is_right_NT.ravel()):.3f}")
    learned_N = test.knows_NTK[:, -1].sum(1) - test.knows_NTK[:, 0].sum(1)
    student = int(learned_N.argmax())
    plot(predicted_NTK[student], exact_NTK[student], test, student).savefig(options.output, dpi=110)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
