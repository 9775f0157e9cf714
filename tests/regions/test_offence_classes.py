"""Categories of real portals (names from public knowledge) are classed by the offence, not by a word."""

import pytest

from app.regions.learning_policy import LearningPolicy
from app.regions.offence_classes import offence_class

PATROL = {
    "Chicago": "NARCOTICS|CRIMINAL TRESPASS|WEAPONS VIOLATION|PROSTITUTION|PUBLIC PEACE VIOLATION|GAMBLING|"
    "INTERFERENCE WITH PUBLIC OFFICER|LIQUOR LAW VIOLATION|CONCEALED CARRY LICENSE VIOLATION|"
    "OTHER NARCOTIC VIOLATION",
    "Los Angeles": "RESISTING ARREST|TRESPASSING|DISTURBING THE PEACE|DRUGS, TO A MINOR|PIMPING|PANDERING|"
    "WEAPONS POSSESSION/BOMBING|WEAPON POSSESSION",
    "New York": "DANGEROUS DRUGS|DANGEROUS WEAPONS|INTOXICATED & IMPAIRED DRIVING|VEHICLE AND TRAFFIC LAWS|"
    "PROSTITUTION & RELATED OFFENSES|ALCOHOLIC BEVERAGE CONTROL LAW|CANNABIS RELATED OFFENSES|"
    "UNDER THE INFLUENCE OF DRUGS|UNLAWFUL POSS. WEAP. ON SCHOOL|BURGLAR'S TOOLS",
    "Seattle": "DRIVING UNDER THE INFLUENCE|DRUG/NARCOTIC OFFENSES|TRESPASS|Drug Equipment Violations|"
    "CURFEW/LOITERING/VAGRANCY VIOLATIONS|Weapon Law Violations",
    "San Francisco": "Weapons Carrying Etc|Traffic Violation Arrest|Warrant|Civil Sidewalks|Drunkenness",
    "London": "Drugs|Possession of weapons|Public order|Public disorder and weapons",
    "Bogota, Mexico": "Tráfico, fabricación o porte de estupefacientes|Porte ilegal de armas de fuego|"
    "Comparendos|NARCOMENUDEO POSESION SIMPLE|DELITOS CONTRA LA SALUD|RESISTENCIA DE PARTICULARES|"
    "VIOLACION A LA LEY DE DROGAS|ORDEN PÚBLICO",
    "Paris, Berlin": "Usage de stupéfiants|Port d'arme|Port d’arme|Outrage à agent|Rauschgiftdelikte|"
    "Trunkenheit im Verkehr|Widerstand gegen Vollstreckungsbeamte",
    "St. Louis": "drugs|dui|disorderly|loitering|vice|weapons|liquor|vagrancy",
}
REPORTED = {
    "Chicago": "THEFT|BATTERY|CRIMINAL DAMAGE|ASSAULT|OTHER OFFENSE|BURGLARY|MOTOR VEHICLE THEFT|"
    "DECEPTIVE PRACTICE|ROBBERY|OFFENSE INVOLVING CHILDREN|CRIM SEXUAL ASSAULT|ARSON|HOMICIDE|STALKING|"
    "KIDNAPPING|INTIMIDATION|HUMAN TRAFFICKING",
    "Los Angeles": "DRUNK ROLL|DRUNK ROLL - ATTEMPT|PICKPOCKET, DRUNK|BURGLARY FROM VEHICLE|BRANDISH WEAPON|"
    "ASSAULT WITH DEADLY WEAPON, AGGRAVATED ASSAULT|CRIMINAL THREATS - NO WEAPON DISPLAYED|"
    "DISCHARGE FIREARMS/SHOTS FIRED|VIOLATION OF RESTRAINING ORDER|FIREARMS RESTRAINING ORDER (FIREARMS RO)|"
    "DRIVING WITHOUT OWNER CONSENT (DWOC)",
    "New York": "FELONY ASSAULT|PETIT LARCENY|HARRASSMENT 2|JOSTLING|POSSESSION OF STOLEN PROPERTY|"
    "MURDER & NON-NEGL. MANSLAUGHTER|THEFT-FRAUD",
    "Toronto, Vancouver": "Assault|Break and Enter|Auto Theft|Theft Over|Robbery|Mischief|Other Theft|"
    "Vehicle Collision or Pedestrian Struck (with Injury)",
    "London": "Anti-social behaviour|Bicycle theft|Criminal damage and arson|Shoplifting|Vehicle crime|"
    "Violence and sexual offences|Theft from the person|Other crime",
    "Bogota, Mexico": "Hurto a personas|Hurto a droguería|Homicidio|Lesiones personales|VIOLACION|"
    "Violencia intrafamiliar|Delitos sexuales|ROBO A TRANSEUNTE EN VIA PUBLICA CON VIOLENCIA|"
    "TRATA DE PERSONAS",
    "Paris, Berlin": "Vols avec armes|Coups et blessures volontaires|Cambriolages de logement|"
    "Wohnungseinbruchdiebstahl",
    "others": "BURGLARY OF DRUG STORE|Robbery of liquor store|THEFT OF GUN|Drug Overdose|GUNSHOT WOUND|"
    "SEXUAL ASSAULT - DRUG INDUCED|Homicide by vehicle while intoxicated|Theft of Liquor|Vandalism of bar",
}


def _names(table):
    return [pytest.param(name, id=name) for names in table.values() for name in names.split("|")]


@pytest.mark.parametrize("name", _names(PATROL))
def test_offences_found_by_patrols(name):
    found = offence_class(name)
    assert found.patrol
    assert found.rule


@pytest.mark.parametrize("name", _names(REPORTED))
def test_offences_that_people_report(name):
    assert not offence_class(name).patrol


@pytest.mark.parametrize(
    ("name", "expected", "rule"),
    [
        ("DRUNK ROLL", "theft", "drunk roll"),
        ("BURGLARY OF DRUG STORE", "burglary", "burglary"),
        ("WEAPON POSSESSION", "weapons", "weapon"),
        ("POSSESSION OF WEAPON", "weapons", "weapon"),
        ("unlawful possession of a firearm", "weapons", "firearm"),
        ("Estupefacientes", "drugs", "estupefacientes"),
        ("Something else", "other", ""),
    ],
)
def test_each_class_names_the_words_that_decided(name, expected, rule):
    found = offence_class(name)
    assert (found.name, found.rule) == (expected, rule)


def test_the_policy_overrules_by_category():
    names = ["Drugs", "Trespass", "Theft"]
    assert LearningPolicy().excluded(names) == ["Drugs", "Trespass"]
    policy = LearningPolicy(include_categories=("Trespass",), exclude_categories=("Theft",))
    assert policy.excluded(names) == ["Drugs", "Theft"]
    assert LearningPolicy("include", exclude_categories=("Theft",)).excluded(names) == ["Theft"]
    rule = policy.category_rule("Theft")
    assert (rule.offence_class, rule.learnt, rule.by_policy) == ("theft", False, True)
    assert LearningPolicy.from_json(policy.to_json()) == policy
    assert LearningPolicy.from_json({"patrol_categories": "include"}).patrol_categories == "include"
