"""One Nipype interface per stage; each records what it used when it runs."""
