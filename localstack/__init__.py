"""AWS on one's own machine: an emulator, a stand-in for Qdrant, and what deploys infra/ there."""
