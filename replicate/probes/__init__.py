"""Floor 4: experiments that are not trainings; they write records for the analysis."""
