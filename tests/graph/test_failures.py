import pytest

from graph.failures import sentence, spoken
from graph.java import ServerError


class Py4JJavaError(Exception):
    """Stands for the class of the same name, which needs a JVM to be made."""


def test_an_expected_failure_is_one_sentence_and_exit_code_one(capsys):
    with pytest.raises(SystemExit) as ended, spoken():
        raise ServerError("Port 7687 is in use. Set NEO4J_PORT.")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "✗ Port 7687 is in use. Set NEO4J_PORT.\n"


def test_a_failure_inside_a_spark_task_is_found_in_the_workers_traceback():
    told = "Traceback\ningest.mapping.MappingError: join 'loan' needs Loan.csv.\n\n\tat org.apache.spark…"
    assert sentence(Py4JJavaError(told)) == "join 'loan' needs Loan.csv."


def test_a_failure_nobody_expected_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), spoken():
        _ = 1 / 0
