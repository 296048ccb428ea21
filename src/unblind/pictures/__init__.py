"""Generated pictures with questions and answers, for pretraining on images with text."""
