"""Sentences with one word in several senses, written for the course."""

from spatioformer.learn.facts import Text
from spatioformer.text.senses import Sense

SENSES = {"money": Text("dinero", "money"), "river": Text("río", "river")}

BANK = [
    Sense("The bank lent us money for the house.", "money"),
    Sense("He opened an account at the bank.", "money"),
    Sense("The bank closed at noon and nobody could pay.", "money"),
    Sense("A bank charges interest on every loan.", "money"),
    Sense("Willows grow on the bank of the river.", "river"),
    Sense("We pulled the canoe up the muddy bank.", "river"),
    Sense("An otter slept on the grassy bank of the stream.", "river"),
    Sense("The flood washed away the bank of the creek.", "river"),
]
BANCO = [
    Sense("El banco nos prestó dinero para la casa.", "dinero"),
    Sense("Abrió una cuenta en el banco del pueblo.", "dinero"),
    Sense("El banco cobra intereses por cada préstamo.", "dinero"),
    Sense("Nos sentamos en un banco de madera del parque.", "asiento"),
    Sense("El abuelo duerme en el banco bajo el árbol.", "asiento"),
    Sense("Pintaron de verde el banco de la plaza.", "asiento"),
    Sense("Un banco de sardinas pasó bajo la barca.", "peces"),
    Sense("Los delfines siguieron al banco de peces.", "peces"),
    Sense("El banco de atunes nadaba hacia el norte.", "peces"),
]
